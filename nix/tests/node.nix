# Builds the nodes of all VM tests. No test has a network to pull from: every program comes from the store.
let
  common = { config, ... }: {
    services.roost = {
      enable = true;
      # The default route of a test's machine is to its own host; the others are reached through the tests' network.
      node.address = config.networking.primaryIPAddress;
    };
    virtualisation = {
      cores = 2;
      diskSize = 8192;
    };
  };
in
{
  controlPlane = {
    imports = [ common ];
    virtualisation.memorySize = 4096;
  };
  # Joined manually: the token and the pin exist only once the first node runs.
  joining =
    role:
    { lib, ... }:
    {
      imports = [ common ];
      services.roost = {
        inherit role;
        join = {
          endpoint = "n1:6443";
          ca_hash = "sha256:${lib.concatStrings (lib.replicate 64 "0")}";
          token_file = "/var/lib/secrets/join-token";
        };
      };
      systemd.services.roost-bootstrap.wantedBy = lib.mkForce [ ];
      virtualisation.memorySize = if role == "worker" then 2048 else 4096;
    };

  # Python: waits for Ready nodes and for the add-ons, and joins a node with the command that the first one prints.
  helpers = ''
    def ready(*names: str, within: int = 600) -> None:
        for name in names:
            n1.wait_until_succeeds(f"kubectl wait --for=condition=Ready node/{name} --timeout=10s", within)


    def settled(within: int = 600) -> None:
        for workload in ["daemonset/kube-proxy", "deployment/coredns"]:
            n1.wait_until_succeeds(f"kubectl --namespace kube-system rollout status {workload} --timeout=10s", within)


    def join(machine: Machine, *flags: str) -> None:
        command = n1.succeed("bootstrap token create --print-join-command " + " ".join(flags)).strip()
        machine.wait_for_unit("containerd.service")
        machine.succeed(command)

  '';
}
