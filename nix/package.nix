# Release build of both programs.
{
  lib,
  rustPlatform,
  installShellFiles,
  openssl,
}:
let
  manifest = builtins.fromTOML (builtins.readFile ../Cargo.toml);
in
rustPlatform.buildRustPackage {
  pname = "roost";
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
  nativeBuildInputs = [ installShellFiles ];
  # Whole-node tests need root and containers; the others run here.
  cargoTestFlags = [
    "--lib"
    "--features"
    "fakes"
  ];
  # Tests of certificates compare with what it says of them.
  nativeCheckInputs = [ openssl ];
  # Both come out of the program itself.
  postInstall = ''
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
    mainProgram = "bootstrap";
    platforms = lib.platforms.linux;
  };
}
