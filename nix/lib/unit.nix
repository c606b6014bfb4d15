# A systemd unit as { Section.Key = value or list; } → unit file text.
let
  sectionOrder = [
    "Unit"
    "Service"
    "Timer"
    "Install"
  ];
  text = v: if builtins.isBool v then (if v then "yes" else "no") else toString v;
  assign = name: v: if builtins.isList v then map (one: "${name}=${text one}") v else [ "${name}=${text v}" ];
  section =
    name: keys:
    builtins.concatStringsSep "\n" (
      [ "[${name}]" ] ++ builtins.concatLists (map (k: assign k keys.${k}) (builtins.attrNames keys))
    );
in
{
  render =
    sections:
    builtins.concatStringsSep "\n\n" (
      map (n: section n sections.${n}) (builtins.filter (n: sections ? ${n}) sectionOrder)
    )
    + "\n";

  # One word of a command line, escaped so that systemd expands nothing (systemd.service(5)).
  quote =
    word:
    let
      escaped = builtins.replaceStrings [ "\\" "\"" "%" "$" ] [ "\\\\" "\\\"" "%%" "$$" ] word;
    in
    if builtins.match "[A-Za-z0-9_=./:,@%-]+" escaped != null then escaped else "\"${escaped}\"";
}
