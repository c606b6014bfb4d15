# Fields of KubeletConfiguration → list of faults: names and types, according to the kubelet's table
# (./kubelet-fields.json, which a test compares with the kubelet). `option` is the name of the set, for the message.
option: given:
let
  kinds = builtins.fromJSON (builtins.readFile ./kubelet-fields.json);
  inherit (import ./values.nix) isText;
  isTable = (import ./values.nix).isTable kinds;
  all = check: values: builtins.all check (builtins.attrValues values);

  number = v: builtins.isInt v || builtins.isFloat v;
  duration = pattern: v: builtins.isString v && builtins.match "(${pattern})(0|([0-9]*\\.?[0-9]+(ns|us|µs|ms|s|m|h))+)" v != null;
  texts = v: builtins.isList v && builtins.all builtins.isString v;
  textMap = v: builtins.isAttrs v && all builtins.isString v;
  durationWords = "a duration such as \"1m30s\"";
  mapWords = "a set of strings";
  types = {
    Bool = {
      fits = builtins.isBool;
      words = "true or false";
    };
    Int = {
      fits = builtins.isInt;
      words = "a whole number";
    };
    Float = {
      fits = number;
      words = "a number";
    };
    Text = {
      # A path into the store.
      fits = isText;
      words = "a string";
    };
    Duration = {
      fits = duration "";
      words = durationWords;
    };
    SignedDuration = {
      fits = duration "-?";
      words = durationWords;
    };
    Nanoseconds = {
      fits = v: builtins.isInt v || duration "" v;
      words = "${durationWords}, or a number of nanoseconds";
    };
    Quantity = {
      fits = v: number v || builtins.isString v;
      words = "a quantity such as \"10Mi\"";
    };
    List = {
      fits = texts;
      words = "a list of strings";
    };
    Map = {
      fits = textMap;
      words = mapWords;
    };
    LessMap = {
      fits = textMap;
      words = mapWords;
    };
    BoolMap = {
      fits = v: builtins.isAttrs v && all builtins.isBool v;
      words = "a set of true and false";
    };
    Json = {
      fits = v: builtins.isAttrs v || builtins.isList v;
      words = "a set or a list";
    };
  };

  check =
    prefix: fields:
    builtins.concatMap (
      name:
      let
        path = "${prefix}${name}";
        value = fields.${name};
        type = types.${kinds.${path}};
      in
      if kinds ? ${path} then
        if value == null || type.fits value then [ ] else [ "${option}.${path} has to be ${type.words}" ]
      else if isTable path then
        if builtins.isAttrs value then check "${path}." value else [ "${option}.${path} has to be a set" ]
      else
        [ "${option}.${path} is no field of KubeletConfiguration" ]
    ) (builtins.attrNames fields);
in
if builtins.isAttrs given then check "" given else [ ]
