# One node: its control plane comes up as static pods, and each of them is a unit.
{ pkgs, module }:
let
  node = import ./node.nix;
in
pkgs.testers.runNixOSTest {
  name = "roost-single-node";
  nodes.n1.imports = [
    module
    node.controlPlane
  ];
  testScript = ''
    ${node.helpers}
    n1.wait_for_unit("roost-bootstrap.service", timeout=900)
    ready("n1")
    for pod in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]:
        n1.wait_until_succeeds(f"systemctl is-active static-pod@{pod}.service", 120)
    n1.wait_for_unit("static-pods.target")
    for timer in ["roost-renewal", "roost-snapshot", "roost-drill"]:
        n1.succeed(f"systemctl is-active {timer}.timer")
    n1.succeed("systemctl start roost-snapshot.service", "ls /var/lib/roost/snapshots/*.db*")
    n1.succeed("systemctl start roost-renewal.service")
  '';
}
