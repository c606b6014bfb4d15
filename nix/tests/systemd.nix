# The control plane as systemd services, with users that the system declares.
{ pkgs, module }:
let
  node = import ./node.nix;
in
pkgs.testers.runNixOSTest {
  name = "roost-systemd";
  nodes.n1 = {
    imports = [
      module
      node.controlPlane
    ];
    services.roost.mode = "systemd";
    users.mutableUsers = false;
    users.allowNoPasswordLogin = true;
  };
  testScript = ''
    ${node.helpers}
    ready("n1")
    services = ["roost-etcd", "roost-kube-apiserver", "roost-kube-controller-manager", "roost-kube-scheduler"]
    for service in services:
        n1.succeed(f"systemctl is-active {service}.service")
        assert service in n1.succeed(f"systemctl show --property User {service}.service")
    n1.shutdown()
    n1.start()
    ready("n1")
    for service in services:
        n1.wait_for_unit(f"{service}.service")
  '';
}
