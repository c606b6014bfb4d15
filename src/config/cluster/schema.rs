//! The table of all settings of cluster.toml: name, kind, default, meaning. Everything else is derived from it.

/// What a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A list of strings; one string stands for a list of one.
    Texts,
    /// true or false.
    Bool,
    /// A whole number.
    Number,
    /// Strings by any name.
    TextMap,
    /// Sets of strings by any name, each by any name (flags by component).
    TextMaps,
    /// A table that is passed on as it is.
    Free,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Dotted name, as in `network.pod_cidr`.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Default, as TOML; empty when it comes from the host or there is none.
    pub default: &'static str,
    /// One line for the reader of docs/configuration.md.
    pub meaning: &'static str,
}

const fn setting(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, kind, default, meaning }
}

/// All settings, in the order they are printed.
pub const SETTINGS: &[Setting] = &[
    setting("mode", Kind::Text, "\"static-pods\"", "how the control plane runs: static-pods or systemd"),
    setting("args", Kind::TextMaps, "{}", "more flags by component; an empty value takes one of ours away"),
    setting("kubelet", Kind::Free, "{}", "fields laid over our KubeletConfiguration, on every node of the cluster"),
    setting("kube_proxy", Kind::Free, "{}", "fields laid over our KubeProxyConfiguration"),
    setting("cluster.name", Kind::Text, "\"kubernetes\"", "name in kubeconfigs"),
    setting("cluster.kubernetes_version", Kind::Text, "\"v1.36.3\"", "version of the control plane"),
    setting(
        "cluster.endpoint",
        Kind::Text,
        "",
        "host[:port] by which everybody reaches the API; the first node's address if unset",
    ),
    setting(
        "cluster.balancer",
        Kind::Text,
        "\"auto\"",
        "a balancer on each node to all API servers: on, off, or auto: on while cluster.endpoint is unset",
    ),
    setting(
        "cluster.cloud_provider",
        Kind::Text,
        "\"none\"",
        "none, or external: a cloud controller manager completes the nodes and makes load balancers",
    ),
    setting(
        "network.pod_cidr",
        Kind::Texts,
        "[\"10.244.0.0/16\"]",
        "network of all pods, one or one per address family",
    ),
    setting(
        "network.service_cidr",
        Kind::Texts,
        "[\"10.96.0.0/12\"]",
        "network of Services, one or one per address family",
    ),
    setting("network.dns_domain", Kind::Text, "\"cluster.local\"", "domain of the cluster's names"),
    setting("network.enabled", Kind::Bool, "true", "the built-in pod network; false where you bring a CNI"),
    setting("network.proxy", Kind::Text, "\"nftables\"", "mode of kube-proxy: nftables, iptables or none"),
    setting("network.dns", Kind::Bool, "true", "whether CoreDNS is installed"),
    setting("node.name", Kind::Text, "", "name of the node; the host name if unset"),
    setting("node.address", Kind::Text, "", "address of the node; that of the default route if unset"),
    setting("node.api_port", Kind::Number, "6443", "port of this node's API server"),
    setting("node.labels", Kind::TextMap, "{}", "labels of the node"),
    setting("node.taints", Kind::Texts, "[]", "taints of the node, as key=value:Effect"),
    setting("node.taint_control_plane", Kind::Bool, "true", "keep ordinary pods off a control-plane node"),
    setting("node.containerd_socket", Kind::Text, "\"/run/containerd/containerd.sock\"", "socket of containerd"),
    setting("node.kubelet", Kind::Free, "{}", "fields of this node's KubeletConfiguration, laid over the cluster's"),
    setting(
        "node.host_programs",
        Kind::Texts,
        "[]",
        "folders from which pods of the API may run programs as host:/… and nix:0/nix/store/…",
    ),
    setting(
        "node.units",
        Kind::Text,
        "\"written\"",
        "our unit files: written here, or declared by the system (NixOS) and only looked for",
    ),
    setting("components.source", Kind::Text, "\"registry\"", "where components come from: registry, archive or host"),
    setting(
        "components.registry",
        Kind::Text,
        "\"registry.k8s.io\"",
        "registry, or a mirror of it, that images are named by",
    ),
    setting("components.archives", Kind::Texts, "[]", "image archives, or folders of them, for source archive"),
    setting("components.binaries", Kind::TextMap, "{}", "static programs by component, for source host"),
    setting("components.images", Kind::TextMap, "{}", "images by component, in place of the usual ones"),
    setting("certs.sans", Kind::Texts, "[]", "more names and addresses in the API server's certificate"),
    setting("certs.leaf", Kind::Text, "\"8760h\"", "life of certificates"),
    setting("certs.ca", Kind::Text, "\"87600h\"", "life of CAs"),
    setting("certs.renewal", Kind::Bool, "true", "a timer on each control plane that renews certificates in time"),
    setting(
        "etcd.endpoints",
        Kind::Texts,
        "[]",
        "URLs of an etcd of your own; empty: one member on each control plane",
    ),
    setting("etcd.ca", Kind::Text, "", "CA of your own etcd"),
    setting("etcd.certificate", Kind::Text, "", "client certificate for your own etcd"),
    setting("etcd.key", Kind::Text, "", "its key"),
    setting(
        "etcd.snapshots",
        Kind::Text,
        "\"daily\"",
        "when snapshots are taken, as systemd.time(7) writes it; never: not at all",
    ),
    setting("etcd.snapshots_kept", Kind::Number, "7", "how many snapshots of each node are kept"),
    setting(
        "etcd.drills",
        Kind::Text,
        "\"weekly\"",
        "when the newest snapshot is restored for a trial, as systemd.time(7) writes it; never: not at all",
    ),
    setting(
        "security.hardening",
        Kind::Bool,
        "true",
        "flags and kubelet fields as the CIS benchmark wants them; false: as kubeadm has them",
    ),
    setting(
        "audit.policy",
        Kind::Text,
        "",
        "audit policy of the API server, or none; unset: who did what, without bodies (with security.hardening)",
    ),
    setting(
        "audit.log",
        Kind::Text,
        "\"/var/log/kubernetes/audit/audit.log\"",
        "the audit log, in a folder of its own",
    ),
    setting(
        "encryption.config",
        Kind::Text,
        "",
        "EncryptionConfiguration of the API server, the same on each control plane; unset: none",
    ),
    setting("paths.kubernetes", Kind::Text, "\"/etc/kubernetes\"", "kubeconfigs and manifests"),
    setting("paths.pki", Kind::Text, "\"/etc/kubernetes/pki\"", "certificates and keys"),
    setting("paths.kubelet", Kind::Text, "\"/var/lib/kubelet\"", "the kubelet's folder"),
    setting("paths.etcd_data", Kind::Text, "\"/var/lib/etcd\"", "etcd's data"),
    setting("paths.snapshots", Kind::Text, "\"/var/lib/roost/snapshots\"", "etcd's snapshots"),
    setting("paths.units", Kind::Text, "\"/etc/systemd/system\"", "unit files"),
    setting("paths.cni_conf", Kind::Text, "\"/etc/cni/net.d\"", "CNI configurations"),
    setting("programs.kubelet", Kind::Text, "", "the kubelet; beside this program if unset"),
    setting("programs.bootstrap", Kind::Text, "", "this program, for units; as it was called if unset"),
];

/// The setting of that name.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// Whether some setting's name begins with this table.
pub fn is_table(name: &str) -> bool {
    SETTINGS.iter().any(|s| s.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The environment variable that overrides a setting: `ROOST_NETWORK_POD_CIDR`.
pub fn variable(setting: &Setting) -> String {
    format!("ROOST_{}", setting.name.replace('.', "_").to_uppercase())
}
