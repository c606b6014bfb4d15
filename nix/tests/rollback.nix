# A generation whose static pods never become Ready is rolled back, while the control plane keeps answering.
{ pkgs, module }:
let
  node = import ./node.nix;
  pod = image: {
    spec = {
      hostNetwork = true;
      containers = [
        {
          name = "main";
          inherit image;
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
  name = "roost-rollback";
  nodes.n1 = {
    imports = [
      module
      node.controlPlane
    ];
    services.roost.staticPods.web = pod "host:${pkgs.pkgsStatic.busybox}/bin/busybox";
    specialisation.broken.configuration.services.roost.staticPods.web = pkgs.lib.mkForce (
      pod "host:/does/not/exist"
    );
  };
  testScript = ''
    ${node.helpers}
    ready("n1")
    n1.wait_until_succeeds("systemctl is-active static-pod@web.service", 300)
    n1.fail("/run/current-system/specialisation/broken/bin/switch-to-configuration test")
    n1.wait_until_succeeds("(bootstrap status --output json || true) | grep -q 'rolled back'", 900)
    n1.succeed("kubectl get nodes")
    n1.wait_until_succeeds("systemctl is-active static-pod@web.service", 300)
  '';
}
