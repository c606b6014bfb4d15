# Three control planes: the cluster answers while any one of them is down.
{ pkgs, module }:
let
  node = import ./node.nix;
  several.services.roost.cluster.control_planes = 3;
in
pkgs.testers.runNixOSTest {
  name = "roost-three-control-planes";
  nodes = {
    n1.imports = [
      module
      node.controlPlane
      several
    ];
  }
  // pkgs.lib.genAttrs [ "n2" "n3" ] (_: {
    imports = [
      module
      (node.joining "control-plane")
      several
    ];
  });
  testScript = ''
    ${node.helpers}
    start_all()
    ready("n1")
    for machine in [n2, n3]:
        join(machine, "--control-plane")
    ready("n1", "n2", "n3")
    n3.crash()
    n1.wait_until_succeeds("kubectl create configmap kept --from-literal=key=value", 120)
    n2.succeed("kubectl get configmap kept")
  '';
}
