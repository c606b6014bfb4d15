# A worker joins by token and runs pods of a DaemonSet; after a reboot it needs no token.
{ pkgs, module }:
let
  node = import ./node.nix;
in
pkgs.testers.runNixOSTest {
  name = "roost-join";
  nodes.n1.imports = [
    module
    node.controlPlane
  ];
  nodes.n2.imports = [
    module
    (node.joining "worker")
  ];
  testScript = ''
    ${node.helpers}
    start_all()
    ready("n1")
    join(n2)
    ready("n2")
    n1.wait_until_succeeds("kubectl --namespace kube-system rollout status daemonset/kube-proxy --timeout=10s", 300)
    n2.shutdown()
    n2.start()
    n2.wait_for_unit("kubelet.service")
    n2.wait_for_unit("roost-agent.service")
    ready("n2")
  '';
}
