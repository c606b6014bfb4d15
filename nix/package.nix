# Release build of both programs, or of one of them.
{
  lib,
  rustPlatform,
  protobuf,
  program ? null,
}:
let
  manifest = builtins.fromTOML (builtins.readFile ../Cargo.toml);
in
rustPlatform.buildRustPackage {
  pname = if program == null then "roost" else program;
  inherit (manifest.package) version;
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../build.rs
      ../src
      ../static-pods
      ../tests
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;
  nativeBuildInputs = [ protobuf ];
  cargoBuildFlags = lib.optionals (program != null) [
    "--bin"
    program
  ];
  # Whole-node tests need root and containers; the others run here.
  cargoTestFlags = [
    "--lib"
    "--features"
    "fakes"
  ];
  meta = {
    inherit (manifest.package) description;
    license = lib.licenses.asl20;
    mainProgram = if program == null then "bootstrap" else program;
    platforms = lib.platforms.linux;
  };
}
