# Release build of both programs, or of one of them.
{
  lib,
  rustPlatform,
  protobuf,
  installShellFiles,
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
  nativeBuildInputs = [
    protobuf
    installShellFiles
  ];
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
  # Both come out of the program itself.
  postInstall = lib.optionalString (program != "kubelet") ''
    $out/bin/bootstrap man pages
    installManPage pages/*.1
    installShellCompletion --cmd bootstrap \
      --bash <($out/bin/bootstrap completions bash) \
      --zsh <($out/bin/bootstrap completions zsh) \
      --fish <($out/bin/bootstrap completions fish)
  '';
  meta = {
    inherit (manifest.package) description;
    license = lib.licenses.asl20;
    mainProgram = if program == null then "bootstrap" else program;
    platforms = lib.platforms.linux;
  };
}
