{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    # Where this flake came from, as in `nix flake init --template`.
    roost.url = "github:OWNER/roost";
    roost.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, roost, ... }:
    {
      nixosConfigurations.n1 = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          roost.nixosModules.default
          ./configuration.nix
        ];
      };
    };
}
