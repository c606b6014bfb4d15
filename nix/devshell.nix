# Everything `make` needs, for `nix develop`.
{ pkgs }:
pkgs.mkShell {
  packages = with pkgs; [
    cargo
    cargo-deny
    clippy
    deadnix
    go
    jq
    (pkgs.nixfmt-tree or pkgs.nixfmt-rfc-style)
    rustc
    rustfmt
    shellcheck
    statix
  ];
}
