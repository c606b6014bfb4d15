{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    # The address of your copy of Roost; any flake reference.
    roost.url = "git+file:///etc/nixos/roost";
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
