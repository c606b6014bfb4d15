# What takes the place of nixpkgs' packages where a tree has `nixos/` and `lib/` only: each name that the tree's modules
# mention is a derivation that builds next to nothing, and the few functions that modules and flakes call are small ones
# of the same meaning, run by the machine's own shell. Enough to evaluate every option, assertion, unit and test to its
# derivation; says nothing about nixpkgs' packages themselves.
{
  nixpkgs,
  # Names of packages, and of packages in sets as "set.name".
  names,
  # Attributes in place of stand-ins, such as a real package of ours; as an overlay.
  real ? (_final: _prev: { }),
  # What runs scripts that are made.
  scriptShell ? "/bin/bash",
  system ? "x86_64-linux",
}:
let
  lib = import (nixpkgs + "/lib");
  shell = "/bin/bash";
  platform = lib.systems.elaborate system;

  outputs = [
    "out"
    "bin"
    "dev"
    "lib"
    "man"
    "doc"
    "info"
    "data"
    "getent"
    "modules"
    "terminfo"
    "withKerberos"
    "shell"
    "server"
    "ping"
    "p11kit"
    "unbundled"
    "hashed"
    "static"
    "client"
  ];

  # A derivation with what modules ask of a package.
  package =
    name: extra:
    let
      drv = builtins.derivation {
        name = lib.strings.sanitizeDerivationName name;
        inherit system;
        builder = shell;
        args = [
          "-c"
          "PATH=/usr/bin:/bin; mkdir -p $out/bin $out/lib $out/share $out/etc && exit 0"
        ];
      };
      self =
        drv
        // {
          pname = name;
          version = "1.0";
          shellPath = "/bin/${name}";
          meta = {
            mainProgram = name;
            description = name;
            platforms = lib.platforms.all;
          };
          passthru = { };
          src = drv;
          stdenv = platform // {
            inherit system;
            hostPlatform = platform;
          };
          override = _: self;
          overrideAttrs = _: self;
          overrideDerivation = _: self;
          withPackages = _: self;
          withPlugins = _: self;
        }
        // lib.genAttrs outputs (_: self)
        # What is named as a function may be called as one.
        // lib.optionalAttrs (builtins.match "(make|mk|build|fetch|write|substitute).*" name != null) {
          __functor = self: _: self;
        }
        // extra;
    in
    self;

  # Nested names become sets of packages that are packages themselves (`pkgs.xorg.lndir`, `pkgs.systemd.out`).
  tree = builtins.foldl' (
    sum: name:
    let
      path = lib.splitString "." name;
      top = builtins.head path;
      below = builtins.tail path;
    in
    sum // { ${top} = (sum.${top} or { }) // (if below == [ ] then { } else { ${builtins.head below} = true; }); }
  ) { } names;
  stubs = builtins.mapAttrs (
    name: below: package name (builtins.removeAttrs (builtins.mapAttrs (inner: _: package inner { }) below) reserved)
  ) tree;
  # Names after a package's that are no packages in it.
  reserved = [
    "version"
    "meta"
    "pname"
    "name"
    "override"
    "overrideAttrs"
    "passthru"
    "outPath"
    "drvPath"
    "type"
    "system"
    "outputName"
    "withPackages"
    "withPlugins"
  ]
  ++ outputs;

  values = import ./stand-ins/functions.nix {
    inherit
      lib
      shell
      scriptShell
      system
      package
      nixpkgs
      stubs
      ;
    pkgs = final;
  };
  before = stubs // values;
  final = before // real final before;
in
final
