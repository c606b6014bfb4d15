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
    nixfmt-rfc-style
    protobuf
    rustc
    rustfmt
    shellcheck
    statix
  ];
}
