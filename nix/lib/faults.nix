# Settings → list of faults, each one sentence that names the option and the remedy.
{ net }:
s:
let
  minor =
    version:
    let
      parts = builtins.match "v?1\\.([0-9]+)\\.[0-9]+" version;
    in
    if parts == null then null else builtins.fromJSON (builtins.head parts);
  when = condition: text: if condition then [ text ] else [ ];
  oneOf = option: value: allowed:
    when (!builtins.elem value allowed)
      "services.roost.${option} is \"${value}\", but has to be one of ${builtins.concatStringsSep ", " allowed}";

  # Networks as text and as ranges; a single network becomes a list, one per address family.
  networks =
    option:
    map (text: {
      inherit option text;
      range = net.parseCidr text;
    }) (if builtins.isList s.network.${option} then s.network.${option} else [ s.network.${option} ]);
  podNetworks = networks "pod_cidr";
  serviceNetworks = networks "service_cidr";
  known = builtins.filter (n: n.range != null);
  address = if s.node.address == "" then null else net.parseAddress s.node.address;
  hasFamily = family: builtins.any (n: n.range.family == family) (known podNetworks);
  twice =
    list:
    builtins.length (known list) > 1
    && builtins.any (family: builtins.length (builtins.filter (n: n.range.family == family) (known list)) > 1) [
      4
      6
    ];
  nameOk = name: builtins.match "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?" name != null;

  api = minor s.versions.kube_apiserver;
  kubelet = if s.versions.kubelet == "" then api else minor s.versions.kubelet;
  # The minor versions that this release supports (src/core/model/release).
  oldest = 35;
  newest = 37;
  skewed =
    component:
    let
      m = minor s.versions.${component};
    in
    when (m == null) "services.roost.versions.${component} is \"${s.versions.${component}}\", which is not a version like v1.36.3"
    ++ when (m != null && api != null && (m > api || m < api - 1))
      "services.roost.versions.${component} is ${s.versions.${component}}, but has to be the API server's minor version (${s.versions.kube_apiserver}) or one older";

  kubeletFields = import ./kubelet-fields.nix;
  # `settings` as dotted names, down to the keys of cluster.toml.
  kinds = builtins.fromJSON (builtins.readFile ./settings.json);
  inherit (import ./values.nix) isText;
  isTable = (import ./values.nix).isTable kinds;
  flat =
    prefix: attrs:
    builtins.concatMap (
      name:
      let
        whole = if prefix == "" then name else "${prefix}.${name}";
      in
      if isTable whole && builtins.isAttrs attrs.${name} then flat whole attrs.${name} else [ whole ]
    ) (builtins.attrNames attrs);
  written = flat "" s.settings;
  valueOf = name: builtins.foldl' (value: part: value.${part}) s.settings (builtins.filter builtins.isString (builtins.split "\\." name));
  textMap = v: builtins.isAttrs v && builtins.all isText (builtins.attrValues v);
  fits =
    kind: v:
    {
      Text = isText v;
      Texts = isText v || (builtins.isList v && builtins.all isText v);
      Bool = builtins.isBool v;
      Number = builtins.isInt v;
      TextMap = textMap v;
      TextMaps = builtins.isAttrs v && builtins.all textMap (builtins.attrValues v);
      Free = builtins.isAttrs v;
    }
    .${kind};
  words = {
    Text = "a string";
    Texts = "a list of strings";
    Bool = "true or false";
    Number = "a whole number";
    TextMap = "a set of strings";
    TextMaps = "a set of sets of strings, such as { kube-apiserver.v = \"4\"; }";
    Free = "a set";
  };
  # What the module itself sets.
  owned = [ "node.units" ] ++ builtins.filter (name: builtins.match "(paths|programs)\\..*" name != null) (builtins.attrNames kinds);
  # Leaf certificates with a lifetime of less than two weeks are due within days.
  life = builtins.match "([0-9]{1,9})([hmsd])" (s.settings.certs.leaf or "8760h");
  shortLived =
    life != null
    &&
      builtins.fromJSON (builtins.head life) * {
        d = 86400;
        h = 3600;
        m = 60;
        s = 1;
      }
      .${builtins.elemAt life 1} < 14 * 86400;

  controlPlane = s.role == "control-plane";
  joins = s.role == "worker" || s.join.endpoint != "";
  even = n: n / 2 * 2 == n;
  endpointHost =
    let
      parts = builtins.match "([^:]+):([0-9]+)" s.cluster.endpoint;
    in
    if parts == null then null else builtins.head parts;

  # Manifests: { name = Pod; }
  podNames = builtins.attrNames s.static_pods;
  podName = n: s.static_pods.${n}.metadata.name or n;
  podNamespace = n: s.static_pods.${n}.metadata.namespace or "default";
  fullName = n: "${podNamespace n}/${podName n}";
  # Each pod with the same full name as an earlier one.
  duplicates = builtins.filter (n: builtins.any (m: m < n && fullName m == fullName n) podNames) podNames;
  reserved = [
    "etcd"
    "kube-apiserver"
    "kube-controller-manager"
    "kube-scheduler"
  ];
  hostPorts =
    n:
    let
      spec = s.static_pods.${n}.spec or { };
      onHost = spec.hostNetwork or false;
      ports = builtins.concatLists (map (c: c.ports or [ ]) (spec.containers or [ ]));
      used = map (p: if onHost then p.containerPort or 0 else p.hostPort or 0) ports;
    in
    builtins.filter (p: p != 0) used;
  own = [
    10250
    10248
    10256
  ]
  ++ (
    if controlPlane then
      [
        6443
        2379
        2380
        2381
        10257
        10259
      ]
    else
      [ ]
  );
  claims = builtins.concatLists (map (n: map (port: { inherit n port; }) (hostPorts n)) podNames);
  clash = c: builtins.elem c.port own || builtins.any (d: d.n != c.n && d.port == c.port) claims;
in
oneOf "role" s.role [
  "control-plane"
  "worker"
]
++ oneOf "mode" s.mode [
  "static-pods"
  "systemd"
]
++ when (controlPlane && s.mode == "systemd" && s.components.source != "host")
  "services.roost.mode is \"systemd\", and systemd services run programs of the host: set services.roost.components.source = \"host\" and name the programs in components.binaries"
++ oneOf "components.source" s.components.source [
  "registry"
  "archive"
  "host"
]
++ when (s.components.source == "archive" && s.components.archives == [ ])
  "services.roost.components.archives has to name at least one archive or folder when components.source is \"archive\""
++ builtins.concatMap (
  n:
  when (n.range == null)
    "services.roost.network.${n.option} is \"${n.text}\", which is not an IPv4 or IPv6 network (host bits must be zero)"
  ++ when (address != null && n.range != null && net.contains n.range address)
    "services.roost.node.address (${s.node.address}) is in ${n.option} (${n.text})"
) (podNetworks ++ serviceNetworks)
++ builtins.concatMap (
  option:
  when (twice (networks option)) "services.roost.network.${option} has two networks of the same address family; at most one of each is allowed"
) [ "pod_cidr" "service_cidr" ]
++ when (serviceNetworks == [ ]) "services.roost.network.service_cidr has to name a network"
++ builtins.concatMap (
  pods:
  builtins.concatMap (
    services:
    when (net.overlap pods.range services.range)
      "services.roost.network.pod_cidr (${pods.text}) overlaps service_cidr (${services.text}): choose networks apart"
  ) (known serviceNetworks)
) (known podNetworks)
++ when (s.node.address != "" && address == null) "services.roost.node.address is \"${s.node.address}\", which is not an IP address"
++ when (address != null && known podNetworks != [ ] && !hasFamily address.family)
  "services.roost.node.address (${s.node.address}) is IPv${toString address.family}, but network.pod_cidr has no network of that family: add one"
++ when (s.node.name != "" && !nameOk s.node.name)
  "services.roost.node.name is \"${s.node.name}\", but a node name has only lower-case letters, digits, '-' and '.'"
++ when (s.cluster.endpoint != "" && endpointHost == null)
  "services.roost.cluster.endpoint is \"${s.cluster.endpoint}\", but has to be host:port"
++ builtins.concatMap (
  name:
  when (builtins.elem name owned)
    "services.roost.settings.${name} cannot be set: the units and folders of the module depend on its default"
) written
++ builtins.concatMap (
  name:
  if !(kinds ? ${name}) then
    [ "services.roost.settings.${name} is not a setting of cluster.toml (see docs/configuration.md)" ]
  else
    when (!fits kinds.${name} (valueOf name)) "services.roost.settings.${name} has to be ${words.${kinds.${name}}}"
) written
++ kubeletFields "services.roost.settings.kubelet" (s.settings.kubelet or { })
++ kubeletFields "services.roost.settings.node.kubelet" (s.settings.node.kubelet or { })
++ when (shortLived && s.renewal.enabled && controlPlane && s.renewal.schedule == "daily")
  "services.roost.settings.certs.leaf is ${s.settings.certs.leaf}, but services.roost.renewal.schedule checks only once a day: check more often, for example \"*:0/10\""
++ when (even s.cluster.control_planes)
  "services.roost.cluster.control_planes is ${toString s.cluster.control_planes}: an even number of etcd members survives no more failures than one less; take an odd number"
++ when (endpointHost != null && s.cluster.extra_sans != [ ] && !builtins.elem endpointHost s.cluster.extra_sans && endpointHost != s.node.address)
  "services.roost.cluster.extra_sans does not cover the host of cluster.endpoint (${endpointHost}): add it, or clients will refuse the certificate"
++ when (api == null) "services.roost.versions.kube_apiserver is \"${s.versions.kube_apiserver}\", which is not a version like v1.36.3"
++ when (api != null && (api < oldest || api > newest))
  "services.roost.versions.kube_apiserver is ${s.versions.kube_apiserver}, but this release supports v1.${toString oldest} to v1.${toString newest}"
++ when (api != null && kubelet == null) "services.roost.versions.kubelet is \"${s.versions.kubelet}\", which is not a version like v1.36.3"
++ when (api != null && kubelet != null && (kubelet > api || kubelet < api - 3))
  "services.roost.versions.kubelet is ${s.versions.kubelet}, but must not be newer than the API server (${s.versions.kube_apiserver}) nor more than three minor versions older"
++ skewed "kube_controller_manager"
++ skewed "kube_scheduler"
++ when (joins && s.join.endpoint == "") "services.roost.join.endpoint has to be set on a worker (host:port of the API server)"
++ when (joins && builtins.match "sha256:[0-9a-f]{64}" s.join.ca_hash == null)
  "services.roost.join.ca_hash has to be sha256: and 64 hex digits, as `bootstrap token create --print-join-command` prints it"
++ when (joins && s.join.token_file == "")
  "services.roost.join.token_file has to name a file with the join token, outside the Nix store"
++ when (builtins.substring 0 11 (toString s.join.token_file) == "/nix/store/")
  "services.roost.join.token_file is in the Nix store, which every user of the machine can read: keep it elsewhere, or use an encrypted credential"
++ builtins.concatLists (
  map (
    c:
    when (s.components.source == "host" && controlPlane && !(s.components.binaries ? ${c}))
      "services.roost.components.binaries.${c} has to be set when components.source is \"host\""
  ) reserved
)
++ builtins.concatLists (
  map (
    n:
    let
      pod = s.static_pods.${n};
      spec = pod.spec or { };
      containers = spec.containers or [ ];
    in
    when (!nameOk n) "services.roost.staticPods.${n}: a pod's name has only lower-case letters, digits, '-' and '.'"
    ++ when ((pod.kind or "Pod") != "Pod") "services.roost.staticPods.${n}.kind is \"${pod.kind}\", but only a Pod can be a static pod"
    ++ when (containers == [ ]) "services.roost.staticPods.${n}.spec.containers is empty: a pod has at least one container"
    ++ when (builtins.any (c: !(c ? name) || !(c ? image)) containers)
      "services.roost.staticPods.${n}.spec.containers: each container has a name and an image"
    ++ when (builtins.elem (podName n) reserved && podNamespace n == "kube-system" && controlPlane)
      "services.roost.staticPods.${n} has the name of a control-plane pod (${podName n}): rename it"
    ++ when (spec ? serviceAccountName) "services.roost.staticPods.${n}.spec.serviceAccountName: a static pod must not refer to API objects"
  ) podNames
)
++ map (n: "services.roost.staticPods.${n}: ${fullName n} is defined more than once") duplicates
++ map (c: "services.roost.staticPods.${c.n}: port ${toString c.port} on the node is taken by another component or static pod") (
  builtins.filter clash claims
)
