# A node that is switched off and on has its pods again, with no restart counted down.
{ pkgs, module }:
pkgs.testers.nixosTest {
  name = "roost-reboot";
  nodes.n1.imports = [
    module
    (import ./node.nix { }).controlPlane
  ];
  testScript = ''
    n1.wait_until_succeeds("kubectl wait --for=condition=Ready node/n1 --timeout=10s", 300)
    n1.succeed("kubectl create configmap kept --from-literal=key=value")
    n1.shutdown()
    n1.start()
    n1.wait_until_succeeds("kubectl get configmap kept", 300)
    n1.wait_for_unit("static-pods.target")
  '';
}
