# A node that is powered off and on runs its pods again.
{ pkgs, module }:
let
  node = import ./node.nix;
in
pkgs.testers.runNixOSTest {
  name = "roost-reboot";
  nodes.n1.imports = [
    module
    node.controlPlane
  ];
  testScript = ''
    ${node.helpers}
    ready("n1")
    n1.succeed("kubectl create configmap kept --from-literal=key=value")
    n1.shutdown()
    n1.start()
    n1.wait_until_succeeds("kubectl get configmap kept", 600)
    n1.wait_for_unit("roost-agent.service")
    n1.wait_for_unit("static-pods.target")
    ready("n1")
  '';
}
