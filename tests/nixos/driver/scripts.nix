# The VM tests of nix/tests, evaluated without nixpkgs: the script of each, and the configuration of each node as options of
# nodes of tests/cluster (tests/cluster/lib/nixos.nix).
#
# Of the module system this has what those configurations use: imports, functions, mkForce, specialisations. An option that
# is not translated here is an error, so that no test runs without a part of its configuration.
{
  # A static busybox, as nodes have it.
  busybox ? "/nix/store/busybox",
  # Of the node whose configuration is read.
  address ? "192.0.2.1",
}:
let
  lib = {
    concatStrings = builtins.concatStringsSep "";
    replicate = n: value: builtins.genList (_: value) n;
    genAttrs =
      names: f:
      builtins.listToAttrs (
        map (name: {
          inherit name;
          value = f name;
        }) names
      );
    mkForce = content: {
      _type = "override";
      inherit content;
    };
  };
  pkgs = {
    inherit lib;
    pkgsStatic = { inherit busybox; };
    testers.runNixOSTest = test: test // { driver = "/no-driver"; };
    writeShellScriptBin = name: text: { inherit name text; };
  };

  # What a configuration may read of the others'.
  config.networking.primaryIPAddress = address;
  loaded =
    module:
    let
      attrs = if builtins.isFunction module then module { inherit config lib pkgs; } else module;
    in
    builtins.concatMap loaded (attrs.imports or [ ]) ++ [ (builtins.removeAttrs attrs [ "imports" ]) ];
  forced = value: builtins.isAttrs value && value._type or "" == "override";
  merge =
    a: b:
    a
    // builtins.mapAttrs (
      name: value:
      if !(a ? ${name}) || forced value then
        value
      else if forced a.${name} then
        a.${name}
      else if builtins.isAttrs value && builtins.isAttrs a.${name} then
        merge a.${name} value
      else if builtins.isList value && builtins.isList a.${name} then
        a.${name} ++ value
      else if value == a.${name} then
        value
      else
        throw "two configurations set ${name}"
    ) b;
  merged = modules: builtins.foldl' merge { } (builtins.concatMap loaded modules);
  plain =
    value:
    if forced value then
      plain value.content
    else if builtins.isAttrs value then
      builtins.mapAttrs (_: plain) value
    else
      value;

  # `known` takes a name to what becomes of its value; another name is an error.
  each =
    prefix: known: attrs:
    builtins.mapAttrs (
      name: value:
      if known ? ${name} then known.${name} value else throw "tests/nixos/driver does not know what ${prefix}${name} of a VM test is on its nodes"
    ) attrs;
  defaults = (import ../../../nix/lib).defaults;
  same = builtins.mapAttrs (_: _: value: value) defaults;
  section = name: key: value: { ${name}.${key} = value; };

  units =
    systemd:
    let
      services = builtins.mapAttrs (
        name: given:
        builtins.foldl' merge { } (
          builtins.attrValues (
            each "systemd.services.${name}." {
              environment = set: section "Service" "Environment" (map (n: "${n}=${set.${n}}") (builtins.attrNames set));
              wantedBy = section "Install" "WantedBy";
            } given
          )
        )
      ) (systemd.services or { });
      timers = builtins.mapAttrs (
        name: given: (each "systemd.timers.${name}." { timerConfig = keys: { Timer = keys; }; } given).timerConfig
      ) (systemd.timers or { });
      named =
        ending: set:
        builtins.listToAttrs (
          map (name: {
            name = "${name}.${ending}";
            value = set.${name};
          }) (builtins.attrNames set)
        );
    in
    builtins.seq (each "systemd." { services = _: null; timers = _: null; } systemd) (
      named "service" services // named "timer" timers
    );

  # A configuration as options of nix/lib, with `units` and `etc`.
  options =
    configuration:
    let
      ours = each "services.roost." (same // { enable = value: value; staticPods = value: value; }) configuration.services.roost;
      known = each "" {
        services = each "services." { roost = _: null; };
        systemd = _: null;
        environment = each "environment." { etc = builtins.mapAttrs (name: each "environment.etc.${name}." { text = _: null; }); };
        users = each "users." (builtins.mapAttrs (_: _: _: null) {
          motd = 0;
          mutableUsers = 0; # nodes' users are declared in any case
          allowNoPasswordLogin = 0;
        });
        virtualisation = each "virtualisation." (builtins.mapAttrs (_: _: _: null) {
          cores = 0;
          diskSize = 0;
          memorySize = 0;
        });
        specialisation = _: null;
      } configuration;
    in
    if !(configuration.services.roost.enable or false) then
      throw "a node of a VM test does not enable services.roost"
    else
      builtins.deepSeq known (
        builtins.removeAttrs ours [ "enable" "staticPods" ]
        // {
          static_pods = ours.staticPods or { };
          units = units (configuration.systemd or { });
          etc = builtins.mapAttrs (_: file: file.text) (configuration.environment.etc or { });
        }
      );

  node =
    module:
    let
      whole = merged [ module ];
    in
    {
      options = options (plain whole);
      specialisations = builtins.mapAttrs (
        _: given: options (plain (merge whole (merged [ given.configuration ])))
      ) (whole.specialisation or { });
    };
  read = test: {
    script = test.testScript;
    nodes = builtins.mapAttrs (_: node) test.nodes;
  };
  arguments = {
    inherit pkgs;
    module = { };
  };
in
builtins.mapAttrs (_: read) (import ../../../nix/tests arguments)
// {
  vm-cluster = read (import ../../../nix/tests/vm-cluster.nix arguments).test;
}
