# Another generation with other settings: what changed is restarted, but no container.
{ pkgs, module }:
let
  node = import ./node.nix;
in
pkgs.testers.runNixOSTest {
  name = "roost-upgrade";
  nodes.n1 = {
    imports = [
      module
      node.controlPlane
    ];
    specialisation.other.configuration = {
      systemd.services.kubelet.environment.OTHER = "1";
      systemd.timers.roost-snapshot.timerConfig.OnCalendar = "hourly";
    };
  };
  testScript = ''
    ${node.helpers}
    ready("n1")
    settled()
    running = "ctr --namespace k8s.io tasks list --quiet | sort"
    before = n1.succeed(running)
    kubelet = n1.succeed("systemctl show --property MainPID kubelet.service")
    n1.succeed("/run/current-system/specialisation/other/bin/switch-to-configuration test")
    assert n1.succeed("systemctl show --property MainPID kubelet.service") != kubelet, "the kubelet is another process"
    ready("n1")
    assert n1.succeed(running) == before, "no container ended or began"
    n1.succeed("systemctl cat roost-snapshot.timer | grep -q hourly")
  '';
}
