# Values → TOML text. Attribute sets become tables; null and empty sets are left out.
let
  escape = builtins.replaceStrings [ "\\" "\"" "\n" "\t" "\r" ] [ "\\\\" "\\\"" "\\n" "\\t" "\\r" ];
  quote = text: "\"${escape text}\"";
  key = name: if builtins.match "[A-Za-z0-9_-]+" name != null then name else quote name;
  value =
    v:
    if builtins.isString v then
      quote v
    else if builtins.isPath v then
      quote (toString v)
    else if builtins.isBool v then
      (if v then "true" else "false")
    else if builtins.isList v then
      "[${builtins.concatStringsSep ", " (map value v)}]"
    else if builtins.isAttrs v && v ? outPath then
      quote "${v}"
    else if builtins.isAttrs v then
      "{ ${builtins.concatStringsSep ", " (map (n: "${key n} = ${value v.${n}}") (builtins.attrNames v))} }"
    else
      toString v;
  isTable = v: builtins.isAttrs v && !(v ? outPath);
  table =
    path: attrs:
    let
      names = builtins.filter (n: attrs.${n} != null && attrs.${n} != { }) (builtins.attrNames attrs);
      plain = builtins.filter (n: !isTable attrs.${n}) names;
      tables = builtins.filter (n: isTable attrs.${n}) names;
      header = if path == [ ] || plain == [ ] then "" else "[${builtins.concatStringsSep "." (map key path)}]\n";
      lines = builtins.concatStringsSep "" (map (n: "${key n} = ${value attrs.${n}}\n") plain);
      below = map (n: table (path ++ [ n ]) attrs.${n}) tables;
      parts = builtins.filter (t: t != "") ([ (header + lines) ] ++ below);
    in
    builtins.concatStringsSep "\n" parts;
in
{
  render = table [ ];
}
