# A single-node cluster in a VM to play with: `nix run .#vm-cluster`.
{ pkgs, module }:
let
  system = import "${pkgs.path}/nixos/lib/eval-config.nix" {
    inherit (pkgs.stdenv.hostPlatform) system;
    modules = [
      "${pkgs.path}/nixos/modules/virtualisation/qemu-vm.nix"
      module
      (import ./node.nix { }).controlPlane
      {
        networking.hostName = "n1";
        services.getty.autologinUser = "root";
        system.stateVersion = "25.05";
      }
    ];
  };
in
pkgs.writeShellScriptBin "vm-cluster" ''exec ${system.config.system.build.vm}/bin/run-n1-vm "$@"''
