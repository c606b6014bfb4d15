# A manifest added to the directory runs, and is terminated when its file is removed.
{ pkgs, module }:
let
  node = import ./node.nix;
  manifest = builtins.toJSON {
    apiVersion = "v1";
    kind = "Pod";
    metadata.name = "sleeper";
    spec = {
      hostNetwork = true;
      containers = [
        {
          name = "sleeper";
          image = "host:${pkgs.pkgsStatic.busybox}/bin/busybox";
          args = [
            "sleep"
            "1000000"
          ];
        }
      ];
    };
  };
in
pkgs.testers.runNixOSTest {
  name = "roost-manifest-drop";
  nodes.n1.imports = [
    module
    node.controlPlane
    { environment.etc."sleeper.json".text = manifest; }
  ];
  testScript = ''
    ${node.helpers}
    ready("n1")
    n1.succeed("cp /etc/sleeper.json /etc/kubernetes/manifests/sleeper.json")
    n1.wait_until_succeeds("systemctl is-active static-pod@sleeper.service", 120)
    n1.succeed("rm /etc/kubernetes/manifests/sleeper.json")
    n1.wait_until_fails("systemctl is-active static-pod@sleeper.service", 120)
  '';
}
