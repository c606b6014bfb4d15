# A generation whose static pods never become Ready is rolled back, while the control plane keeps answering.
{ pkgs, module }:
let
  pod = image: {
    spec = {
      hostNetwork = true;
      containers = [
        {
          name = "main";
          inherit image;
        }
      ];
    };
  };
in
pkgs.testers.nixosTest {
  name = "roost-rollback";
  nodes.n1 = {
    imports = [
      module
      (import ./node.nix { }).controlPlane
    ];
    services.roost.staticPods.web = pod "host:${pkgs.pkgsStatic.busybox}/bin/busybox";
    specialisation.broken.configuration.services.roost.staticPods.web = pkgs.lib.mkForce (
      pod "host:/does/not/exist"
    );
  };
  testScript = ''
    n1.wait_for_unit("static-pods.target")
    n1.execute("/run/current-system/specialisation/broken/bin/switch-to-configuration test")
    n1.wait_until_succeeds("bootstrap status --output json | grep -q rolled", 300)
    n1.succeed("kubectl get nodes")
    n1.wait_for_unit("static-pod@web.service")
  '';
}
