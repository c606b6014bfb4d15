# IPv4 CIDRs as ranges of whole numbers, by builtins alone.
let
  pow2 = n: if n == 0 then 1 else 2 * pow2 (n - 1);
  octets = text: builtins.match "([0-9]{1,3})\\.([0-9]{1,3})\\.([0-9]{1,3})\\.([0-9]{1,3})" text;
  # A leading zero is not JSON, so `fromJSON` would fail on it: such addresses are no addresses here either.
  number = text: if builtins.match "0|[1-9][0-9]*" text == null then 256 else builtins.fromJSON text;
in
rec {
  # The address as a number, or null.
  parseAddress =
    text:
    let
      parts = octets text;
      values = map number parts;
    in
    if parts == null || builtins.any (v: v > 255) values then
      null
    else
      builtins.foldl' (sum: v: sum * 256 + v) 0 values;

  # { first, last } of a CIDR, or null when it is none or has host bits set.
  parseCidr =
    text:
    let
      parts = builtins.match "([0-9.]+)/([0-9]{1,2})" text;
      address = parseAddress (builtins.elemAt parts 0);
      bits = number (builtins.elemAt parts 1);
      size = pow2 (32 - bits);
    in
    if parts == null || address == null || bits > 32 || builtins.bitAnd address (size - 1) != 0 then
      null
    else
      {
        first = address;
        last = address + size - 1;
      };

  overlap = a: b: a.first <= b.last && b.first <= a.last;
  contains = range: address: range.first <= address && address <= range.last;
}
