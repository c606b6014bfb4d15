# Systems of NixOS that boot, of the module and of packages that run (./packages.nix). Built by ./run.
{
  nixpkgs,
  names,
  tree,
  programs,
  upstream,
  # What the first node says of itself, for the one that joins: its CA's pin.
  pin ? "",
}:
let
  lib = import (nixpkgs + "/lib");
  pkgs = import ../nixos/stand-ins.nix {
    inherit nixpkgs names;
    scriptShell = "${pkgs.bash}/bin/bash";
    real = import ./packages.nix {
      inherit
        lib
        tree
        programs
        upstream
        ;
    };
  };
  system =
    modules:
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = "x86_64-linux";
      inherit pkgs lib;
      modules = [
        ../../nix/modules
        ./machine.nix
      ]
      ++ modules;
    }).config.system.build.toplevel;
  generations = import ./generations.nix { inherit lib pkgs pin; };
in
lib.mapAttrs (_: system) generations
// {
  # What is typed on the machine.
  tools = pkgs.debian;
}
