# One node: its control plane comes up as static pods, and each of them is a unit.
{ pkgs, module }:
pkgs.testers.nixosTest {
  name = "roost-single-node";
  nodes.n1.imports = [
    module
    (import ./node.nix { }).controlPlane
  ];
  testScript = ''
    n1.wait_for_unit("roost-bootstrap.service")
    n1.wait_until_succeeds("kubectl wait --for=condition=Ready node/n1 --timeout=10s", 300)
    for pod in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]:
        n1.wait_for_unit(f"static-pod@{pod}.service")
    n1.wait_for_unit("static-pods.target")
  '';
}
