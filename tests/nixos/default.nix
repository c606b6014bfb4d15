# The module on real NixOS: configurations and their expected results. Run by ./run.
{
  # A tree with `nixos/` and `lib/`; all of nixpkgs, or with stand-in packages (./stand-ins.nix).
  nixpkgs,
  names ? [ ],
  system ? "x86_64-linux",
}:
let
  whole = builtins.pathExists (nixpkgs + "/pkgs/top-level/all-packages.nix");
  lib = import (nixpkgs + "/lib");
  pkgs =
    if whole then
      import nixpkgs { inherit system; }
    else
      import ./stand-ins.nix { inherit nixpkgs names system; };

  # Manuals and the stub of ld.so are built from packages that stand-ins cannot replace.
  quiet = lib.optionalAttrs (!whole) {
    documentation.enable = lib.mkForce false;
    environment.stub-ld.enable = false;
  };
  machine = {
    imports = [ quiet ];
    boot.loader.grub.enable = false;
    fileSystems."/" = {
      device = "/dev/disk/by-label/nixos";
      fsType = "ext4";
    };
    system.stateVersion = lib.trivial.release;
  };

  evaluate =
    modules:
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      inherit system pkgs lib;
      modules = [
        ../../nix/modules
        machine
        { services.roost.enable = lib.mkDefault true; }
      ]
      ++ modules;
    }).config;

  show = config: {
    faults = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
    inherit (config) warnings;
    drv = config.system.build.toplevel.drvPath;
  };

  good = import ./good.nix { inherit pkgs lib; };
  bad = import ./bad.nix { inherit pkgs lib; };
  types = import ./types.nix;
  facts = import ./facts.nix { inherit lib; };
  vmTests = import ../../nix/tests {
    inherit pkgs;
    module = ../../nix/modules;
  };
in
{
  # Each evaluates to a system, without a failed assertion or a warning.
  good = lib.mapAttrs (_: modules: show (evaluate modules)) good;
  goodNames = lib.attrNames good;

  # Each is rejected with these words.
  bad = map (case: {
    inherit (case) words;
    found = map (a: a.message) (lib.filter (a: !a.assertion) (evaluate [ case.module ]).assertions);
  }) bad;
  badWords = map (case: case.words) bad;
  # Rejected by a type, so that nothing evaluates: by number.
  types = map (case: evaluate [ case.module ]) types;
  typeWords = map (case: case.words) types;

  # Units, files and so on of a configuration.
  facts = map (case: {
    inherit (case) text;
    holds = case.holds (evaluate [ case.module ]);
  }) facts;
  factTexts = map (case: case.text) facts;

  vmTests = lib.mapAttrs (_: test: test.driver.drvPath) vmTests;
  testScripts = lib.mapAttrs (
    name: test:
    pkgs.writeText "${name}.py" (
      let
        script = test.config.testScript;
      in
      if lib.isFunction script then script { inherit (test) nodes; } else script
    )
  ) vmTests;

  # Every output of the flake, to its derivation.
  flake =
    let
      self = outputs // {
        inherit outputs;
        outPath = ../..;
      };
      outputs = (import ../../flake.nix).outputs {
        inherit self;
        nixpkgs = {
          lib = lib // {
            nixosSystem =
              args: import (nixpkgs + "/nixos/lib/eval-config.nix") (args // { inherit pkgs lib; modules = args.modules ++ [ quiet ]; });
          };
          legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (_: pkgs);
        };
      };
      drvs = lib.mapAttrs (_: drv: drv.drvPath);
    in
    {
      packages = drvs outputs.packages.${system};
      checks = drvs outputs.checks.${system};
      apps = lib.mapAttrs (_: app: app.program) outputs.apps.${system};
      formatter = outputs.formatter.${system}.drvPath;
      devShell = outputs.devShells.${system}.default.drvPath;
      example = show outputs.nixosConfigurations.example.config;
      overlay = (outputs.overlays.default pkgs pkgs).roost.drvPath;
      template = builtins.pathExists (outputs.templates.default.path + "/flake.nix");
    };

  options = import ../../nix/options-doc.nix { inherit pkgs; };

  # Units and files of /etc as they are built.
  units = lib.mapAttrsToList (_: unit: unit.unit) (
    lib.filterAttrs (
      name: _:
      builtins.match "(kubelet|roost-.*|static-pod.*)\\..*" name != null
    ) (evaluate [ ]).systemd.units
  );
}
