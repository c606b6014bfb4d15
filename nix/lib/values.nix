# Predicates on values, shared by the tables of settings.
{
  # A string, a path, or a store object.
  isText = v: builtins.isString v || builtins.isPath v || (builtins.isAttrs v && v ? outPath);

  # Whether a dotted name is a prefix of names in the table.
  isTable =
    kinds: name:
    builtins.any (known: builtins.substring 0 (builtins.stringLength name + 1) known == "${name}.") (builtins.attrNames kinds);
}
