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
      module = self.nixosModules.default;
    in
    {
      # `nix build`: the programs; `nix build .#vm-cluster` and `nix run`: two VMs, a control plane and a worker.
      packages = forAll (
        pkgs:
        let
          roost = pkgs.callPackage ./nix/package.nix { };
          # One program of the package, which is built once.
          only = name: pkgs.runCommand name { meta.mainProgram = name; } "mkdir -p $out/bin && ln -s ${roost}/bin/${name} $out/bin/";
        in
        {
          inherit roost;
          default = roost;
          bootstrap = only "bootstrap";
          kubelet = only "kubelet";
          vm-cluster = import ./nix/tests/vm-cluster.nix { inherit pkgs module; };
        }
      );

      apps = forAll (
        pkgs:
        let
          vm-cluster = {
            type = "app";
            program = "${self.packages.${pkgs.stdenv.hostPlatform.system}.vm-cluster}/bin/vm-cluster";
            meta.description = "Boots a Kubernetes cluster of two VMs";
          };
        in
        {
          inherit vm-cluster;
          default = vm-cluster;
        }
      );

      overlays.default = import ./nix/overlay.nix;
      nixosModules = {
        default = import ./nix/modules;
        roost = self.nixosModules.default;
      };
      # A machine to start from: `nix flake init --template` with this flake.
      nixosConfigurations.example = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          module
          ./nix/template/configuration.nix
        ];
      };
      templates.default = {
        path = ./nix/template;
        description = "A NixOS machine that is a Kubernetes cluster of one node";
      };

      devShells = forAll (pkgs: {
        default = import ./nix/devshell.nix { inherit pkgs; };
      });
      # nixfmt with a driver that finds the files, under its present name or the earlier one.
      formatter = forAll (pkgs: pkgs.nixfmt-tree or pkgs.nixfmt-rfc-style);
      checks = forAll (
        pkgs:
        import ./nix/checks.nix {
          inherit pkgs module;
          package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
          example = self.nixosConfigurations.example;
        }
      );
    };
}
