{
  description = "Roost: a Kubernetes bootstrapper and kubelet for NixOS and systemd";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forAll = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forAll (pkgs: rec {
        roost = pkgs.callPackage ./nix/package.nix { };
        default = roost;
        bootstrap = pkgs.callPackage ./nix/package.nix { program = "bootstrap"; };
        kubelet = pkgs.callPackage ./nix/package.nix { program = "kubelet"; };
      });

      overlays.default = import ./nix/overlay.nix;
      nixosModules.default = import ./nix/modules;
      devShells = forAll (pkgs: { default = import ./nix/devshell.nix { inherit pkgs; }; });
      formatter = forAll (pkgs: pkgs.nixfmt-rfc-style);
      checks = forAll (
        pkgs:
        import ./nix/checks.nix {
          inherit pkgs;
          module = self.nixosModules.default;
          package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        }
      );

      # `nix run .#vm-cluster`: a single-node cluster in a VM, with a login on its console.
      apps = forAll (pkgs: {
        vm-cluster = {
          type = "app";
          program = "${
            import ./nix/tests/vm-cluster.nix {
              inherit pkgs;
              module = self.nixosModules.default;
            }
          }/bin/vm-cluster";
        };
      });
    };
}
