# All VM tests: { pkgs, module } → { name = test; }.
args:
builtins.mapAttrs (_: file: import file args) {
  vm-single-node = ./single-node.nix;
  vm-join = ./join.nix;
  vm-reboot = ./reboot.nix;
  vm-manifest-drop = ./manifest-drop.nix;
  vm-rollback = ./rollback.nix;
  vm-upgrade = ./upgrade.nix;
  vm-systemd = ./systemd.nix;
  vm-three-control-planes = ./three-control-planes.nix;
}
