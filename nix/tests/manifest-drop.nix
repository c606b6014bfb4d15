# A manifest dropped into the directory runs, and is gone with its file.
{ pkgs, module }:
let
  manifest = pkgs.writeText "sleeper.json" (
    builtins.toJSON {
      apiVersion = "v1";
      kind = "Pod";
      metadata.name = "sleeper";
      spec = {
        hostNetwork = true;
        containers = [
          {
            name = "sleeper";
            image = "host:${pkgs.pkgsStatic.busybox}/bin/busybox";
            args = [
              "sleep"
              "1000000"
            ];
          }
        ];
      };
    }
  );
in
pkgs.testers.nixosTest {
  name = "roost-manifest-drop";
  nodes.n1.imports = [
    module
    (import ./node.nix { }).controlPlane
  ];
  testScript = ''
    n1.wait_for_unit("static-pods.target")
    n1.succeed("cp ${manifest} /etc/kubernetes/manifests/sleeper.json")
    n1.wait_for_unit("static-pod@sleeper.service")
    n1.succeed("rm /etc/kubernetes/manifests/sleeper.json")
    n1.wait_until_fails("systemctl is-active static-pod@sleeper.service")
  '';
}
