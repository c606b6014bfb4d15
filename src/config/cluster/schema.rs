//! The table of all settings of cluster.toml: name, kind, default, meaning. Everything else is derived from it.

/// Type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A list of strings; a single string is a list of one.
    Texts,
    Bool,
    Number,
    /// Strings by arbitrary names.
    TextMap,
    /// Maps of strings by arbitrary names (flags by component).
    TextMaps,
    /// A table that is passed on unchanged.
    Free,
}

/// A setting of cluster.toml.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Dotted name, as in `network.pod_cidr`.
    pub name: &'static str,
    pub kind: Kind,
    /// Default, as TOML; empty if it comes from the host, or there is none.
    pub default: &'static str,
    /// One line of description for docs/configuration.md.
    pub meaning: &'static str,
}

const fn setting(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, kind, default, meaning }
}

/// All settings, in the order in which they are printed.
pub const SETTINGS: &[Setting] = &[
    setting("mode", Kind::Text, "\"static-pods\"", "how the control plane runs: static-pods or systemd"),
    setting("args", Kind::TextMaps, "{}", "additional flags by component; an empty value removes a default flag"),
    setting(
        "kubelet",
        Kind::Free,
        "{}",
        "KubeletConfiguration fields for every node of the cluster; override the defaults",
    ),
    setting("kube_proxy", Kind::Free, "{}", "KubeProxyConfiguration fields; override the defaults"),
    setting("cluster.name", Kind::Text, "\"kubernetes\"", "name of the cluster in kubeconfigs"),
    setting("cluster.kubernetes_version", Kind::Text, "\"v1.36.3\"", "Kubernetes version of the control plane"),
    setting(
        "cluster.endpoint",
        Kind::Text,
        "",
        "host[:port] under which all nodes and clients reach the API; if unset, the address of the first node",
    ),
    setting(
        "cluster.balancer",
        Kind::Text,
        "\"auto\"",
        "on each node a load balancer to all API servers: on, off, or auto, which is on if cluster.endpoint is unset",
    ),
    setting(
        "cluster.cloud_provider",
        Kind::Text,
        "\"none\"",
        "none, or external: a cloud controller manager initializes nodes and creates load balancers",
    ),
    setting(
        "network.pod_cidr",
        Kind::Texts,
        "[\"10.244.0.0/16\"]",
        "address range of pods, one or one per address family",
    ),
    setting(
        "network.service_cidr",
        Kind::Texts,
        "[\"10.96.0.0/12\"]",
        "address range of Services, one or one per address family",
    ),
    setting("network.dns_domain", Kind::Text, "\"cluster.local\"", "DNS domain of the cluster"),
    setting(
        "network.enabled",
        Kind::Bool,
        "true",
        "whether the built-in pod network is used; false if you install another CNI",
    ),
    setting("network.proxy", Kind::Text, "\"nftables\"", "mode of kube-proxy: nftables, iptables or none"),
    setting("network.dns", Kind::Bool, "true", "whether CoreDNS is installed"),
    setting("node.name", Kind::Text, "", "name of the node; if unset, the host name"),
    setting("node.address", Kind::Text, "", "address of the node; if unset, the source address of the default route"),
    setting("node.api_port", Kind::Number, "6443", "port of the API server on this node"),
    setting("node.labels", Kind::TextMap, "{}", "labels of the node"),
    setting("node.taints", Kind::Texts, "[]", "taints of the node, as key=value:Effect"),
    setting(
        "node.taint_control_plane",
        Kind::Bool,
        "true",
        "whether a control-plane node is tainted, which keeps ordinary pods off it",
    ),
    setting("node.containerd_socket", Kind::Text, "\"/run/containerd/containerd.sock\"", "socket of containerd"),
    setting(
        "node.kubelet",
        Kind::Free,
        "{}",
        "KubeletConfiguration fields for this node; override those of the cluster",
    ),
    setting(
        "node.host_programs",
        Kind::Texts,
        "[]",
        "folders whose programs pods of the API may name as image (host:/… and nix:0/nix/store/…)",
    ),
    setting(
        "node.units",
        Kind::Text,
        "\"written\"",
        "unit files: written by bootstrap, or declared by the system (NixOS) and only checked",
    ),
    setting("components.source", Kind::Text, "\"registry\"", "where components come from: registry, archive or host"),
    setting("components.registry", Kind::Text, "\"registry.k8s.io\"", "registry in the image names, or a mirror of it"),
    setting("components.archives", Kind::Texts, "[]", "image archives, or folders of archives, for source archive"),
    setting("components.binaries", Kind::TextMap, "{}", "statically linked programs by component, for source host"),
    setting("components.images", Kind::TextMap, "{}", "images by component; override the defaults"),
    setting("certs.sans", Kind::Texts, "[]", "additional names and addresses (SANs) in the API server's certificate"),
    setting("certs.leaf", Kind::Text, "\"8760h\"", "lifetime of certificates"),
    setting("certs.ca", Kind::Text, "\"87600h\"", "lifetime of CAs"),
    setting(
        "certs.renewal",
        Kind::Bool,
        "true",
        "whether a timer on each control plane renews certificates before they expire",
    ),
    setting(
        "etcd.endpoints",
        Kind::Texts,
        "[]",
        "URLs of an external etcd; if empty, each control plane runs a member",
    ),
    setting("etcd.ca", Kind::Text, "", "CA of the external etcd"),
    setting("etcd.certificate", Kind::Text, "", "client certificate for the external etcd"),
    setting("etcd.key", Kind::Text, "", "key of that certificate"),
    setting(
        "etcd.snapshots",
        Kind::Text,
        "\"daily\"",
        "schedule of snapshots, in the syntax of systemd.time(7), or never",
    ),
    setting("etcd.snapshots_kept", Kind::Number, "7", "number of snapshots that each node keeps"),
    setting(
        "etcd.drills",
        Kind::Text,
        "\"weekly\"",
        "schedule of restore drills, in the syntax of systemd.time(7), or never",
    ),
    setting(
        "security.hardening",
        Kind::Bool,
        "true",
        "flags and kubelet fields as the CIS benchmark requires; false: the defaults of kubeadm",
    ),
    setting(
        "audit.policy",
        Kind::Text,
        "",
        "audit policy file of the API server, or none; if unset and security.hardening is true, a policy that logs metadata without bodies",
    ),
    setting(
        "audit.log",
        Kind::Text,
        "\"/var/log/kubernetes/audit/audit.log\"",
        "audit log file, in a dedicated folder",
    ),
    setting(
        "encryption.config",
        Kind::Text,
        "",
        "EncryptionConfiguration file of the API server, the same on each control plane; unset: none",
    ),
    setting("paths.kubernetes", Kind::Text, "\"/etc/kubernetes\"", "folder of kubeconfigs and manifests"),
    setting("paths.pki", Kind::Text, "\"/etc/kubernetes/pki\"", "folder of certificates and keys"),
    setting("paths.kubelet", Kind::Text, "\"/var/lib/kubelet\"", "folder of the kubelet"),
    setting("paths.etcd_data", Kind::Text, "\"/var/lib/etcd\"", "data folder of etcd"),
    setting("paths.snapshots", Kind::Text, "\"/var/lib/roost/snapshots\"", "folder of etcd snapshots"),
    setting("paths.units", Kind::Text, "\"/etc/systemd/system\"", "folder of unit files"),
    setting("paths.cni_conf", Kind::Text, "\"/etc/cni/net.d\"", "folder of CNI configurations"),
    setting("programs.kubelet", Kind::Text, "", "path of the kubelet; if unset, next to this program"),
    setting(
        "programs.bootstrap",
        Kind::Text,
        "",
        "path of this program for units; if unset, the path it was called by",
    ),
];

/// The setting of that name; `None` if there is none.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// True if some setting's name begins with this table.
pub fn is_table(name: &str) -> bool {
    SETTINGS.iter().any(|s| s.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The environment variable of a setting, e.g. `ROOST_NETWORK_POD_CIDR`.
pub fn variable(setting: &Setting) -> String {
    format!("ROOST_{}", setting.name.replace('.', "_").to_uppercase())
}
