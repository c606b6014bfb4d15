# A worker joins by token and runs pods of a DaemonSet.
{ pkgs, module }:
let
  node = import ./node.nix { };
in
pkgs.testers.nixosTest {
  name = "roost-join";
  nodes.n1.imports = [
    module
    node.controlPlane
  ];
  # The token and the pin exist only once n1 runs, so the worker is joined by hand here.
  nodes.n2 = {
    imports = [
      module
      (node.worker {
        endpoint = "n1:6443";
        caHash = "sha256:${pkgs.lib.concatStrings (pkgs.lib.replicate 64 "0")}";
        tokenFile = "/var/lib/secrets/join-token";
      })
    ];
    systemd.services.roost-bootstrap.wantedBy = pkgs.lib.mkForce [ ];
  };
  testScript = ''
    n1.wait_until_succeeds("kubectl wait --for=condition=Ready node/n1 --timeout=10s", 300)
    command = n1.succeed("bootstrap token create --print-join-command").strip()
    n2.wait_for_unit("containerd.service")
    n2.succeed(command)
    n1.wait_until_succeeds("kubectl wait --for=condition=Ready node/n2 --timeout=10s", 120)
  '';
}
