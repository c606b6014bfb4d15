# A generation of a node like NixOS: what nix/lib renders from its options, with the overrides of its configuration. Options
# are those of nix/lib, and:
#   units."NAME".SECTION.KEY = value    replaces the key; `Environment` is added to it (systemd.services.*)
#   etc."NAME" = text                   more files of /etc (environment.etc)
{
  roost, # nix/lib
  packages, # by name; paths in the node's store
  options,
}:
let
  node = roost.node (
    builtins.removeAttrs options [
      "units"
      "etc"
    ]
  );
  list = value: if builtins.isList value then value else [ value ];
  folders = names: builtins.concatStringsSep ":" (map (name: "${packages.${name}}/bin") names);
  # Part of what every service has on NixOS.
  everywhere = [
    "coreutils"
    "systemd"
  ];
  # Packages that a unit names (`systemd.services.*.path`).
  pathOf = unit: folders ((node.paths.${builtins.head (builtins.split "\\.service$" unit)} or [ ]) ++ everywhere);

  isService = name: builtins.match ".*\\.service" name != null;
  override =
    name: sections:
    builtins.mapAttrs (
      section: keys:
      keys
      // builtins.mapAttrs (key: value: if key == "Environment" then list (keys.${key} or [ ]) ++ list value else value) (
        (options.units or { }).${name}.${section} or { }
      )
    ) sections;
  withPath =
    name: sections:
    if !isService name then
      sections
    else
      sections // { Service = sections.Service // { Environment = list (sections.Service.Environment or [ ]) ++ [ "PATH=${pathOf name}" ]; }; };
  # `restartTriggers` of nix/modules/units.nix.
  withTriggers =
    name: sections:
    if builtins.elem name [ "roost-bootstrap.service" "roost-agent.service" ] then
      sections // { Unit = sections.Unit // { X-Restart-Triggers = builtins.hashString "sha256" node.files."roost/cluster.toml"; }; }
    else
      sections;
  sets = builtins.mapAttrs (name: sections: withTriggers name (withPath name (override name sections))) node.unitSets;
  unknown = builtins.filter (name: !(node.unitSets ? ${name})) (builtins.attrNames (options.units or { }));
in
if unknown != [ ] then
  throw "there is no unit ${builtins.concatStringsSep ", " unknown}"
else
  {
    inherit (node) faults services dropins;
    units = builtins.mapAttrs (_: roost.unit.render) sets;
    wants = builtins.mapAttrs (_: sections: list (sections.Install.WantedBy or [ ])) sets;
    etc = node.files // (options.etc or { });
    ours = builtins.attrNames node.files; # all below roost/
    others = builtins.attrNames (options.etc or { });
    path = folders everywhere;
  }
