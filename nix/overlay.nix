# pkgs.roost
final: _prev: { roost = final.callPackage ./package.nix { }; }
