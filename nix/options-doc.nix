# The options of `services.roost` as Markdown, generated from their declarations (docs/nixos-options.md).
{ pkgs }:
let
  inherit (pkgs) lib;
  evaluated = lib.evalModules {
    modules = [
      ./modules/options.nix
      ./modules/settings.nix
      {
        options._module.args = lib.mkOption { internal = true; };
        config._module.args = { inherit pkgs; };
      }
    ];
  };
  text =
    value:
    if value ? _type && lib.elem value._type [ "literalExpression" "literalMD" ] then
      value.text
    else
      lib.generators.toPretty { multiline = false; } value;
  row = option: "| `${option.name}` | ${option.type} | ${if option ? default then "`${text option.default}`" else "–"} | ${lib.replaceStrings [ "\n" "|" ] [ " " "\\|" ] option.description} |";
  rows = map row (
    lib.filter (option: option.visible && !option.internal && lib.hasPrefix "services.roost." option.name) (
      lib.optionAttrSetToDocList evaluated.options
    )
  );
in
pkgs.writeText "nixos-options.md" ''
  # Options of `services.roost`

  Generated from the module by `make nixos`; `services.roost.settings` takes every setting of [cluster.toml](configuration.md).

  | option | type | default | meaning |
  |---|---|---|---|
  ${lib.concatStringsSep "\n" rows}
''
