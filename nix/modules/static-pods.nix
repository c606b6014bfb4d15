# `services.roost.staticPods`: validated as a whole when the system is built, applied as a whole with the generation.
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
  # The text of a pod may name programs in the store, which are then part of the system.
  files = lib.mapAttrsToList (name: text: {
    name = baseNameOf name;
    path = pkgs.writeText (baseNameOf name) text;
  }) manifests;
  # The check runs on the build machine.
  set = pkgs.runCommand "static-pods" { nativeBuildInputs = [ cfg.buildPackage ]; } (
    "mkdir $out\n"
    + lib.concatMapStrings (file: "cp ${file.path} $out/${file.name}\n") files
    + "bootstrap manifests check $out\n"
  );
in
{
  config = lib.mkIf (cfg.enable && cfg.staticPods != { }) {
    environment.etc."roost/static-pods".source = set;
  };
}
