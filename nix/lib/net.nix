# IPv4 and IPv6 networks as ranges, with builtins only: an address is { family; value; }, whose values compare by `<`.
let
  pow2 = n: if n == 0 then 1 else 2 * pow2 (n - 1);
  min = a: b: if a < b then a else b;
  max = a: b: if a > b then a else b;
  octets = text: builtins.match "([0-9]{1,3})\\.([0-9]{1,3})\\.([0-9]{1,3})\\.([0-9]{1,3})" text;
  # A leading zero is not JSON, so `fromJSON` would fail on it: such addresses are rejected here too.
  number = text: if builtins.match "0|[1-9][0-9]*" text == null then 256 else builtins.fromJSON text;
  hex = text: (builtins.fromTOML "v = 0x${text}").v;

  # IPv4 as one number, in a list of one, so that both families are lists.
  ipv4 =
    text:
    let
      parts = octets text;
      values = map number parts;
    in
    if parts == null || builtins.any (v: v > 255) values then
      null
    else
      [ (builtins.foldl' (sum: v: sum * 256 + v) 0 values) ];

  # IPv6 as eight numbers of 16 bits.
  groups =
    text:
    if text == "" then [ ] else builtins.filter builtins.isString (builtins.split ":" text);
  ipv6 =
    text:
    let
      halves = builtins.match "(.*)::(.*)" text;
      written = if halves == null then groups text else builtins.concatMap groups halves;
      missing = 8 - builtins.length written;
      all =
        if halves == null then
          written
        else
          groups (builtins.head halves) ++ builtins.genList (_: "0") missing ++ groups (builtins.elemAt halves 1);
      isGroup = group: builtins.match "[0-9a-fA-F]{1,4}" group != null;
      rightLength = if halves == null then missing == 0 else missing > 0;
    in
    if builtins.match "[0-9a-fA-F:]+" text != null && rightLength && builtins.all isGroup written then map hex all else null;

  # The first and last address with the same prefix of so many bits, word by word.
  range =
    width: words: bits:
    let
      word =
        end: index:
        let
          free = min width (max 0 (width * (index + 1) - bits));
          size = pow2 free;
          first = builtins.elemAt words index / size * size;
        in
        if end then first + size - 1 else first;
      all = end: builtins.genList (word end) (builtins.length words);
    in
    {
      first = all false;
      last = all true;
    };
in
rec {
  # The address, or null.
  parseAddress =
    text:
    let
      four = ipv4 text;
      six = ipv6 text;
    in
    if four != null then
      {
        family = 4;
        value = four;
      }
    else if six != null then
      {
        family = 6;
        value = six;
      }
    else
      null;

  # { family, first, last } of a CIDR, or null if it is invalid or has host bits set.
  parseCidr =
    text:
    let
      parts = builtins.match "([0-9a-fA-F.:]+)/([0-9]{1,3})" text;
      address = parseAddress (builtins.head parts);
      bits = number (builtins.elemAt parts 1);
      found = range (if address.family == 4 then 32 else 16) address.value bits;
    in
    if
      parts == null
      || address == null
      || bits > (if address.family == 4 then 32 else 128)
      || found.first != address.value
    then
      null
    else
      found // { inherit (address) family; };

  overlap = a: b: a.family == b.family && !(b.last < a.first) && !(a.last < b.first);
  contains = network: address: network.family == address.family && !(address.value < network.first) && !(network.last < address.value);
}
