# Questions about values that several tables of settings are held against.
{
  # A string, a path, or something of the store.
  isText = v: builtins.isString v || builtins.isPath v || (builtins.isAttrs v && v ? outPath);

  # Whether a dotted name stands above names of the table.
  isTable =
    kinds: name:
    builtins.any (known: builtins.substring 0 (builtins.stringLength name + 1) known == "${name}.") (builtins.attrNames kinds);
}
