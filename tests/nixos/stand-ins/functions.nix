# Simplified versions of the nixpkgs functions and sets that modules, tests and the flake use.
{
  lib,
  pkgs,
  shell,
  # Of scripts that are made; that of the machine, unless there is one in the store.
  scriptShell,
  system,
  package,
  nixpkgs,
  stubs,
}:
let
  # The machine's own tools, instead of stdenv's.
  toolPath = "/usr/bin:/bin:/usr/sbin:/sbin";

  plain =
    name: attrs: script:
    let
      drv = builtins.derivation (
        builtins.removeAttrs attrs [
          "meta"
          "passthru"
          "nativeBuildInputs"
          "buildInputs"
          "derivationArgs"
        ]
        // {
          name = lib.strings.sanitizeDerivationName name;
          inherit system;
          builder = shell;
          args = [
            "-c"
            ''
              PATH=${lib.makeBinPath (attrs.nativeBuildInputs or [ ])}:${toolPath}
              source ${./setup.sh}
              ${script}
              # Not the script's last program: Nix kills a builder that closes its output before it exits.
              :
            ''
          ];
        }
      );
    in
    drv
    // (attrs.passthru or { })
    // {
      outputs = [ "out" ];
      meta = attrs.meta or { };
      passthru = attrs.passthru or { };
      overrideAttrs = over: plain name (attrs // (if lib.isFunction over then over attrs else over)) script;
    };

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      ...
    }:
    plain name
      {
        inherit text;
        passAsFile = [ "text" ];
      }
      ''
        mkdir -p "$(dirname "$out${destination}")"
        cp "$textPath" "$out${destination}"
        ${lib.optionalString executable "chmod +x $out${destination}"}
      '';

  script =
    name: text:
    writeTextFile {
      inherit name;
      executable = true;
      text = "#!${scriptShell}\n${text}\n";
    };
  scriptBin =
    name: text:
    writeTextFile {
      inherit name;
      executable = true;
      destination = "/bin/${name}";
      text = "#!${scriptShell}\n${text}\n";
    }
    // {
      meta.mainProgram = name;
    };

  # Allowed content of a configuration file.
  tree =
    with lib.types;
    let
      self =
        nullOr (oneOf [
          bool
          int
          float
          str
          path
          (attrsOf self)
          (listOf self)
        ])
        // {
          description = "value";
        };
    in
    self;
  format = ending: _options: {
    type = tree;
    generate = name: value: writeTextFile {
      inherit name;
      text = if ending == "toml" then (import ../../../nix/lib/toml.nix).render value else builtins.toJSON value;
    };
    lib = { };
    rawLib = { };
  };
  sections =
    _options:
    format "ini" { }
    // {
      type = with lib.types; attrsOf (attrsOf (either tree (listOf tree)));
    };

  kernel = package "linux" {
    version = "6.6.0";
    modDirVersion = "6.6.0";
    kernelOlder = lib.versionOlder "6.6.0";
    kernelAtLeast = lib.versionAtLeast "6.6.0";
    features.efiBootStub = true;
    config = {
      isSet = _: false;
      isEnabled = _: true;
      isYes = _: true;
      isNo = _: false;
      isModule = _: true;
      isDisabled = _: false;
    };
    isHardened = false;
    isZen = false;
    isLibre = false;
    configfile = package "config" { };
  };
  kernelPackages = {
    inherit kernel;
    kernelOlder = lib.versionOlder "6.6.0";
    kernelAtLeast = lib.versionAtLeast "6.6.0";
    extend = _: kernelPackages;
    inherit (pkgs) stdenv;
    zfs = package "zfs" { };
  };

  # An argument that is not defined anywhere is a stand-in as well; one with a default keeps it.
  call =
    scope: file: given:
    let
      function = if lib.isFunction file then file else import file;
      wanted = lib.functionArgs function;
      found = lib.mapAttrs (name: _: scope.${name} or (package name { })) (
        lib.filterAttrs (_: optional: !optional) wanted
      );
      result = function (found // given);
    in
    if lib.isAttrs result then result // { override = over: call scope file (given // over); } else result;

  # systemd with everything.
  systemdFeatures = map (name: "with${name}") [
    "Acl"
    "Analyze"
    "Apparmor"
    "Audit"
    "Bootloader"
    "Bpf"
    "Coredump"
    "Cryptsetup"
    "Documentation"
    "Efi"
    "Fido2"
    "Firstboot"
    "Homed"
    "Hostnamed"
    "Importd"
    "Kmod"
    "Libseccomp"
    "Localed"
    "Logind"
    "Machined"
    "Networkd"
    "Nspawn"
    "Oomd"
    "Pam"
    "PasswordQuality"
    "Polkit"
    "Portabled"
    "Remote"
    "Repart"
    "Resolved"
    "ShellCompletions"
    "Sysupdate"
    "Sysusers"
    "Timedated"
    "Timesyncd"
    "Tpm2Tss"
    "Tpm2Units"
    "Ukify"
    "UserDb"
    "Utmp"
    "Vmspawn"
  ];

  hostPlatform = lib.systems.elaborate system;
in
{
  inherit
    lib
    writeTextFile
    system
    ;
  standIn = package;
  _type = "pkgs";
  __splicedPackages = pkgs;
  path = nixpkgs;
  config = { };
  overlays = [ ];
  extend = over: pkgs // over pkgs pkgs;
  appendOverlays = overs: builtins.foldl' (sum: over: sum // over sum sum) pkgs overs;
  buildPackages = pkgs;
  targetPackages = pkgs;
  pkgsBuildBuild = pkgs;
  pkgsi686Linux = pkgs;
  pkgsMusl = pkgs;
  pkgsStatic = pkgs;

  stdenv = {
    inherit hostPlatform system;
    buildPlatform = hostPlatform;
    targetPlatform = hostPlatform;
    isLinux = true;
    isDarwin = false;
    is64bit = true;
    isi686 = false;
    isx86_64 = true;
    isAarch64 = false;
    isAarch32 = false;
    isx86_32 = false;
    isMips = false;
    cc = package "cc" {
      cc = package "gcc" { };
      libc = package "glibc" { };
      bintools = package "binutils" { dynamicLinker = "/lib64/ld-linux-x86-64.so.2"; };
    };
    mkDerivation =
      attrs:
      let
        given = if lib.isFunction attrs then lib.fix attrs else attrs;
      in
      plain (given.name or given.pname or "derivation") (lib.filterAttrs (
        name: value:
        name != "name" && name != "src" && (lib.isString value || lib.isDerivation value || lib.isList value && lib.all lib.isStringLike value)
      ) given) (given.buildCommand or given.installPhase or "mkdir -p $out");
    shell = shell;
    shellPackage = package "bash" { shellPath = "/bin/bash"; };
  };
  stdenvNoCC = pkgs.stdenv;
  mkShell = attrs: package "shell" { inherit (attrs) packages; };
  mkShellNoCC = pkgs.mkShell;
  runtimeShell = scriptShell;
  runtimeShellPackage = pkgs.bash;
  bash = package "bash" { shellPath = "/bin/bash"; };
  bashInteractive = package "bash-interactive" { shellPath = "/bin/bash"; };
  zsh = package "zsh" { shellPath = "/bin/zsh"; };

  runCommand = plain;
  runCommandLocal = plain;
  runCommandCC = name: _: _: package name { };
  runCommandNoCC = plain;
  writeText = name: text: writeTextFile { inherit name text; };
  writeTextDir =
    name: text:
    writeTextFile {
      name = baseNameOf name;
      inherit text;
      destination = "/${name}";
    };
  writeScript =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
    };
  writeScriptBin =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
      destination = "/bin/${name}";
    };
  writeShellScript = script;
  writeShellScriptBin = scriptBin;
  writeShellApplication =
    { name, text, runtimeInputs ? [ ], ... }:
    scriptBin name "export PATH=${lib.makeBinPath runtimeInputs}:$PATH\n${text}";
  writers = {
    writePython3 = name: _: script name;
    writePython3Bin = name: _: scriptBin name;
    writeBash = script;
    writeDash = script;
    writePerl = name: _: script name;
    writeJSON = name: value: pkgs.writeText name (builtins.toJSON value);
  };
  writeClosure = _: package "closure" { };
  writeReferencesToFile = _: package "references" { };
  closureInfo = _: package "closure-info" { };
  copyPathToStore = builtins.path;
  substituteAll =
    attrs:
    plain (attrs.name or (baseNameOf (toString attrs.src))) attrs ''
      substituteAll $src $out
      [ -z "''${isExecutable:-}" ] || chmod +x $out
    '';
  substitute = attrs: plain "substituted" { inherit (attrs) src; } "cp $src $out";
  replaceVars =
    src: values:
    plain (baseNameOf (toString src)) { inherit src; } "substitute $src $out ${
      lib.concatStrings (lib.mapAttrsToList (name: value: " --subst-var-by ${name} ${lib.escapeShellArg "${value}"}") values)
    }";
  concatText = name: files: plain name { inherit files; } "cat $files >$out";
  concatTextFile = attrs: plain attrs.name { inherit (attrs) files; } "cat $files >$out";
  linkFarm =
    name: entries:
    plain name { } (
      "mkdir -p $out\n"
      + lib.concatMapStrings (entry: "mkdir -p $out/${dirOf entry.name}; ln -s ${entry.path} $out/${entry.name}\n") (
        if lib.isAttrs entries then lib.mapAttrsToList (name: path: { inherit name path; }) entries else entries
      )
    );
  symlinkJoin =
    attrs:
    plain (attrs.name or attrs.pname)
      {
        inherit (attrs) paths;
        passAsFile = [ "paths" ];
      }
      ''
        mkdir -p $out
        for path in $(cat $pathsPath); do link_tree $path $out; done
        ${attrs.postBuild or ""}
      '';
  buildEnv =
    attrs:
    plain attrs.name { paths = lib.filter (path: path != null) attrs.paths; } ''
      mkdir -p $out
      for path in $paths; do
        for part in ${toString (attrs.pathsToLink or [ "/" ])}; do
          [ ! -d $path$part ] || link_tree $path$part $out$part
        done
      done
      ${attrs.postBuild or ""}
    '';
  makeWrapper = package "makeWrapper" { };
  makeInitrd = _: package "initrd" { compressorExecutableFunction = _: "gzip"; compressorArgs = [ ]; };
  makeInitrdNG = pkgs.makeInitrd;
  makeModulesClosure = _: package "modules" { };
  aggregateModules = _: package "modules" { };
  makeDesktopItem = _: package "desktop" { };
  makeFontsConf = _: package "fonts" { };
  makeFontsCache = _: package "fonts" { };
  nixosOptionsDoc =
    args:
    import (nixpkgs + "/nixos/lib/make-options-doc") ({ inherit pkgs lib; } // args);
  callPackage = call pkgs;
  callPackages = call pkgs;
  newScope = extra: call (pkgs // extra);
  srcOnly = _: package "source" { };
  fetchurl = attrs: package (attrs.name or "source") { };
  fetchFromGitHub = attrs: package (attrs.repo or "source") { };
  fetchpatch = _: package "patch" { };
  fetchzip = _: package "source" { };
  dockerTools = {
    buildImage = attrs: package attrs.name { };
    buildLayeredImage = attrs: package attrs.name { };
  };
  ensureNewerSourcesForZipFilesHook = package "hook" { };

  formats = lib.genAttrs [ "toml" "json" "yaml" "elixirConf" "hocon" "libconfig" "pythonVars" "xml" "lua" ] format // {
    ini = sections;
    iniWithGlobalSection = sections;
    gitIni = sections;
    php = _: format "php" { };
    keyValue = _: format "keyValue" { } // { type = with lib.types; attrsOf tree; };
    systemd = sections { };
    javaProperties = _: format "properties" { } // { type = with lib.types; attrsOf tree; };
  };

  testers = rec {
    runNixOSTest =
      test:
      (import (nixpkgs + "/nixos/lib") { inherit lib; }).runTest {
        imports = [ test ];
        hostPkgs = lib.mkDefault pkgs;
        node.pkgs = lib.mkDefault pkgs;
        defaults = {
          documentation.enable = lib.mkForce false;
          environment.stub-ld.enable = false;
        };
      };
    nixosTest = test: (import (nixpkgs + "/nixos/lib/testing-python.nix") { inherit system pkgs; }).makeTest test;
  };
  nixosTests = { };
  nixosTest = pkgs.testers.nixosTest;
  nixos =
    configuration:
    import (nixpkgs + "/nixos/lib/eval-config.nix") {
      inherit system pkgs lib;
      modules = [ configuration ];
    };

  rustPlatform.buildRustPackage =
    attrs:
    package attrs.pname {
      inherit (attrs) version meta;
      arguments = attrs;
      src = attrs.src;
      overrideAttrs = _: package attrs.pname { inherit (attrs) version; };
    };

  # Packages of which modules ask more than a path.
  linux = kernel;
  linuxPackages = kernelPackages;
  linuxPackages_latest = kernelPackages;
  linuxKernel = {
    kernels.linux_6_6 = kernel;
    packages.linux_6_6 = kernelPackages;
    inherit kernelPackages;
    packagesFor = _: kernelPackages;
  };
  systemd = package "systemd" ({
    version = "257";
    interfaceVersion = 2;
    kbd = package "kbd" { };
    util-linux = package "util-linux" { };
  } // lib.genAttrs systemdFeatures (_: true));
  systemdMinimal = pkgs.systemd;
  nix = package "nix" { version = "2.24.0"; };
  kubernetes = package "kubernetes" {
    version = "1.36.3";
    pause = package "kubernetes-pause" { };
  };
  etcd = package "etcd" { version = "3.6.8"; };
  libxcrypt = package "libxcrypt" { enabledCryptSchemeIds = [ "y" ]; };
  OVMF = package "OVMF" { systemManagementModeRequired = false; fd = package "OVMF-fd" { systemManagementModeRequired = false; firmware = "/OVMF.fd"; variables = "/VARS.fd"; }; };
  glibcLocales = package "glibc-locales" { };
  glibcLocalesUtf8 = package "glibc-locales" { };
  python3 = package "python3" {
    pythonVersion = "3.12";
    sitePackages = "lib/python3.12/site-packages";
    pkgs = pkgs.python3Packages;
    withPackages = _: package "python3" { };
    interpreter = "/usr/bin/python3";
  };
  python3Packages = stubs.python3Packages or { } // {
    buildPythonApplication = attrs: package attrs.pname { };
    buildPythonPackage = attrs: package attrs.pname { };
  };
  perl = package "perl" { withPackages = _: package "perl" { }; libPrefix = "lib/perl5"; };
  nixos-artwork.wallpapers.simple-dark-gray-bootloader = package "splash" { gnomeFilePath = "/splash.png"; };
  gnome = { };
  plasma5Packages = { };
  libsForQt5 = { };
}
