# `services.roost.staticPods`: validated as a whole when the system is built, switched at once with the generation.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.roost;
  node = import ./handover.nix config;
  prefix = "roost/static-pods/";
  manifests = lib.filterAttrs (name: _: lib.hasPrefix prefix name) node.files;
  set = pkgs.runCommand "static-pods" { nativeBuildInputs = [ cfg.package ]; } (
    "mkdir $out\n"
    + lib.concatStrings (
      lib.mapAttrsToList (name: text: "cp ${builtins.toFile (baseNameOf name) text} $out/${baseNameOf name}\n") manifests
    )
    + "bootstrap manifests check $out\n"
  );
in
{
  config = lib.mkIf (cfg.enable && cfg.staticPods != { }) {
    environment.etc."roost/static-pods".source = set;
  };
}
