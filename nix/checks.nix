# What `nix flake check` runs: lints, tests, the evaluation of the module, VM tests.
{
  pkgs,
  module,
  package,
}:
let
  run = name: inputs: script: pkgs.runCommand name { nativeBuildInputs = inputs; } "${script}\ntouch $out";
  vm = file: import file { inherit pkgs module; };
  # The module on a machine of its own: options, assertions and units evaluate, and nothing else is built.
  evaluated =
    (import "${pkgs.path}/nixos/lib/eval-config.nix" {
      inherit (pkgs.stdenv.hostPlatform) system;
      modules = [
        module
        (import ./tests/node.nix { }).controlPlane
        {
          boot.loader.grub.enable = false;
          fileSystems."/".device = "none";
          system.stateVersion = "25.05";
        }
      ];
    }).config;
in
{
  inherit package;
  clippy = package.overrideAttrs (_: {
    name = "roost-clippy";
    nativeCheckInputs = [ pkgs.clippy ];
    checkPhase = "cargo clippy --all-targets --features fakes -- -D warnings";
  });
  rustfmt = run "roost-fmt" [ pkgs.cargo pkgs.rustfmt ] "cd ${../.} && cargo fmt --check";
  nix-lints = run "roost-nix-lints" [ pkgs.statix pkgs.deadnix ] "statix check ${./.} && deadnix --fail ${./.}";
  module = pkgs.writeText "roost-units" (
    builtins.toJSON (builtins.mapAttrs (_: unit: unit.text) evaluated.systemd.units)
  );
  vm-single-node = vm ./tests/single-node.nix;
  vm-join = vm ./tests/join.nix;
  vm-reboot = vm ./tests/reboot.nix;
  vm-manifest-drop = vm ./tests/manifest-drop.nix;
  vm-rollback = vm ./tests/rollback.nix;
}
