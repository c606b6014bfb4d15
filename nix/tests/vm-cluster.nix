# A cluster of one control plane and one worker in two VMs to experiment with: `nix run`. No registry is used.
{ pkgs, module }:
let
  node = import ./node.nix;
  welcome = ''

    A Kubernetes cluster of two nodes. Try:

      kubectl get nodes
      kubectl get pods --all-namespaces
      systemctl list-units 'static-pod@*'
      bootstrap status

    Ctrl-D ends it.
  '';
  cluster = pkgs.testers.runNixOSTest {
    name = "roost-vm-cluster";
    nodes.n1 = {
      imports = [
        module
        node.controlPlane
      ];
      users.motd = welcome;
    };
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
      print(${builtins.toJSON welcome})
      n1.shell_interact()
    '';
  };
in
pkgs.writeShellScriptBin "vm-cluster" ''exec ${cluster.driver}/bin/nixos-test-driver "$@"'' // { test = cluster; }
