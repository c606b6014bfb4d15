# What `nix flake check` runs: the package with its tests, lints, the evaluation of the module, VM tests.
{
  pkgs,
  module,
  package,
  example,
}:
let
  run = name: inputs: script: pkgs.runCommand name { nativeBuildInputs = inputs; } "${script}\ntouch $out";
in
{
  inherit package;
  rustfmt = run "roost-fmt" [ pkgs.cargo pkgs.rustfmt ] "cd ${package.src} && cargo fmt --check";
  nix-lints = run "roost-nix-lints" [ pkgs.statix pkgs.deadnix ] "statix check ${./.} && deadnix --fail ${./.}";
  # Options, assertions and units of a machine evaluate; nothing is built.
  module = pkgs.writeText "roost-units" (
    builtins.unsafeDiscardStringContext (builtins.toJSON (builtins.mapAttrs (_: unit: unit.text) example.config.systemd.units))
  );
  options = import ./options-doc.nix { inherit pkgs; };
}
// import ./tests { inherit pkgs module; }
