//! Derives the validated spec from the settings, reporting all faults at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use toml::Value;

use super::super::kubelet::check_overlay;
use super::layers::{Fault, Layers};
use crate::core::bootstrap::hardening::audit_policy_path;
use crate::core::bootstrap::services::NEEDS_PROGRAMS;
use crate::core::model::spec::{
    AuditSpec, CertSpec, ClusterSpec, Component, ComponentSource, ControlPlaneMode, Endpoint, ExternalEtcd, ExtraArgs,
    NetworkSpec, NodeSpec, Paths, Programs, ProxyMode, SnapshotSpec, Spec, Taint,
};

/// Defaults that come from the host.
#[derive(Clone, Debug, Default)]
pub struct HostDefaults {
    pub name: String,
    /// Address of the interface with the default route; `None` if there is no default route.
    pub address: Option<IpAddr>,
    /// Path of this program.
    pub program: PathBuf,
}

/// Versions of the images that belong to v1.36.3 (`cmd/kubeadm/app/constants`).
const ETCD: &str = "etcd:3.6.8-0";
const COREDNS: &str = "coredns/coredns:v1.14.2";
const PAUSE: &str = "pause:3.10.2";
/// The components that have the cluster's version.
const VERSIONED: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];

/// Reads typed values from the layers and collects faults.
struct Reader<'a> {
    layers: &'a Layers,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, setting: &str, message: impl Into<String>) {
        let origin = self.layers.origin(setting);
        self.faults.push(Fault { origin, setting: setting.into(), message: message.into() });
    }

    fn text(&self, name: &str) -> String {
        self.layers.value(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn flag(&self, name: &str) -> bool {
        self.layers.value(name).and_then(Value::as_bool).unwrap_or_default()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let items = self.layers.value(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn map(&self, name: &str) -> BTreeMap<String, String> {
        self.layers.value(name).map(text_map).unwrap_or_default()
    }

    fn json(&self, name: &str) -> serde_json::Map<String, serde_json::Value> {
        match self.layers.value(name).map(serde_json::to_value) {
            Some(Ok(serde_json::Value::Object(map))) => map,
            _ => serde_json::Map::new(),
        }
    }

    /// An absolute path; others are faults.
    fn path(&mut self, name: &str) -> PathBuf {
        let path = PathBuf::from(self.text(name));
        if !path.is_absolute() {
            self.fault(name, format!("{:?} has to be an absolute path", path.display().to_string()));
        }
        path
    }

    fn parsed<T: FromStr>(&mut self, name: &str, text: &str, what: &str) -> Option<T> {
        let value = text.parse().ok();
        if value.is_none() {
            self.fault(name, format!("\"{text}\" is not {what}"));
        }
        value
    }

    fn subnets(&mut self, name: &str) -> Vec<IpNet> {
        let mut subnets: Vec<IpNet> = Vec::new();
        for text in self.texts(name) {
            let Some(net) = self.parsed::<IpNet>(name, &text, "network like 10.244.0.0/16") else { continue };
            if net.network() != net.addr() {
                self.fault(name, format!("\"{text}\" has host bits set; the network is {}", net.trunc()));
            } else if subnets.iter().any(|other| other.network().is_ipv4() == net.network().is_ipv4()) {
                self.fault(name, format!("\"{text}\" is a second network of its address family"));
            } else {
                subnets.push(net);
            }
        }
        subnets
    }

    fn hours(&mut self, name: &str) -> Duration {
        let text = self.text(name);
        let units = [("h", 3600), ("m", 60), ("s", 1), ("d", 86400)];
        let parsed = units.iter().find_map(|(unit, seconds)| {
            let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
            count.checked_mul(*seconds).filter(|total| *total > 0)
        });
        if parsed.is_none() {
            self.fault(name, format!("\"{text}\" is not a duration like 8760h or 365d"));
        }
        Duration::from_secs(parsed.unwrap_or(1))
    }
}

fn text_map(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_table().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The spec that follows from settings and host.
///
/// # Errors
/// Every fault, with the place where the value is set.
pub fn derive_spec(layers: &Layers, host: &HostDefaults) -> Result<Spec, Vec<Fault>> {
    let mut reader = Reader { layers, faults: Vec::new() };
    let node = derive_node(&mut reader, host);
    let cluster = derive_cluster(&mut reader, &node);
    check_networks(&mut reader, &cluster, &node);
    if reader.faults.is_empty() { Ok(Spec { cluster, node }) } else { Err(reader.faults) }
}

fn derive_node(reader: &mut Reader<'_>, host: &HostDefaults) -> NodeSpec {
    let mut name = reader.text("node.name");
    if name.is_empty() {
        name = host.name.to_lowercase();
    }
    if !is_dns_subdomain(&name) {
        reader.fault(
            "node.name",
            format!("\"{name}\" is not a node name: use only lower-case letters, digits, '-' and '.'"),
        );
    }
    let address = match reader.text("node.address").as_str() {
        "" => host.address,
        text => reader.parsed("node.address", text, "an IP address"),
    };
    if address.is_none() && reader.text("node.address").is_empty() {
        reader.fault("node.address", "cannot be detected: there is no default route; set it");
    }
    let port = layers_number(reader, "node.api_port");
    let mut taints = Vec::new();
    for text in reader.texts("node.taints") {
        match parse_taint(&text) {
            Some(taint) => taints.push(taint),
            None => reader.fault("node.taints", format!("\"{text}\" is not a taint like key=value:NoSchedule")),
        }
    }
    let host_programs: Vec<PathBuf> = reader.texts("node.host_programs").into_iter().map(PathBuf::from).collect();
    if let Some(odd) = host_programs.iter().find(|folder| !folder.is_absolute()) {
        reader.fault("node.host_programs", format!("\"{}\" is not an absolute path", odd.display()));
    }
    let program = |reader: &mut Reader<'_>, name: &str, default: PathBuf| {
        if reader.text(name).is_empty() { default } else { reader.path(name) }
    };
    NodeSpec {
        name,
        address: address.unwrap_or(IpAddr::from([0, 0, 0, 0])),
        api_port: port,
        labels: reader.map("node.labels"),
        taints,
        kubelet: derive_kubelet(reader, "node.kubelet"),
        host_programs,
        declared_units: derive_declared_units(reader),
        taint_control_plane: reader.flag("node.taint_control_plane"),
        runtime_socket: reader.path("node.containerd_socket"),
        paths: Paths {
            kubernetes: reader.path("paths.kubernetes"),
            pki: reader.path("paths.pki"),
            kubelet: reader.path("paths.kubelet"),
            etcd_data: reader.path("paths.etcd_data"),
            snapshots: reader.path("paths.snapshots"),
            units: reader.path("paths.units"),
            cni_conf: reader.path("paths.cni_conf"),
        },
        programs: Programs {
            kubelet: program(reader, "programs.kubelet", host.program.with_file_name("kubelet")),
            bootstrap: program(reader, "programs.bootstrap", host.program.clone()),
        },
    }
}

fn derive_declared_units(reader: &mut Reader<'_>) -> bool {
    match reader.text("node.units").as_str() {
        "written" => false,
        "declared" => true,
        other => {
            reader.fault("node.units", format!("\"{other}\" is not one of: written, declared"));
            false
        }
    }
}

fn layers_number(reader: &mut Reader<'_>, name: &str) -> u16 {
    let number = reader.layers.value(name).and_then(Value::as_integer).unwrap_or_default();
    match u16::try_from(number) {
        Ok(port) if port > 0 => port,
        _ => {
            reader.fault(name, format!("{number} is not a port"));
            0
        }
    }
}

/// Fields of a KubeletConfiguration, checked as the kubelet checks them.
fn derive_kubelet(reader: &mut Reader<'_>, name: &str) -> serde_json::Map<String, serde_json::Value> {
    let fields = reader.json(name);
    for fault in check_overlay(&fields) {
        reader.fault(name, fault);
    }
    fields
}

fn derive_cluster(reader: &mut Reader<'_>, node: &NodeSpec) -> ClusterSpec {
    let version = reader.text("cluster.kubernetes_version");
    if !is_version(&version) {
        reader.fault("cluster.kubernetes_version", format!("\"{version}\" is not a version like v1.36.3"));
    }
    let mode = match reader.text("mode").as_str() {
        "static-pods" => ControlPlaneMode::StaticPods,
        "systemd" => ControlPlaneMode::Systemd,
        other => {
            reader.fault("mode", format!("\"{other}\" is not one of: static-pods, systemd"));
            ControlPlaneMode::StaticPods
        }
    };
    let endpoint = match reader.text("cluster.endpoint").as_str() {
        "" => Endpoint::new(node.address, node.api_port),
        text => text.parse().unwrap_or_else(|error: crate::core::model::spec::EndpointError| {
            reader.fault("cluster.endpoint", error.to_string());
            Endpoint::new(node.address, node.api_port)
        }),
    };
    let local_balancer = match reader.text("cluster.balancer").as_str() {
        "auto" => reader.text("cluster.endpoint").is_empty(),
        "on" => true,
        "off" => false,
        other => {
            reader.fault("cluster.balancer", format!("\"{other}\" is not one of: on, off, auto"));
            false
        }
    };
    let proxy = match reader.text("network.proxy").as_str() {
        "nftables" => Some(ProxyMode::Nftables),
        "iptables" => Some(ProxyMode::Iptables),
        "none" => None,
        other => {
            reader.fault("network.proxy", format!("\"{other}\" is not one of: nftables, iptables, none"));
            None
        }
    };
    let dns_domain = reader.text("network.dns_domain");
    if !is_dns_subdomain(&dns_domain) {
        reader.fault("network.dns_domain", format!("\"{dns_domain}\" is not a DNS domain"));
    }
    let args = reader.layers.value("args").and_then(Value::as_table).into_iter().flatten();
    let extra_args: BTreeMap<String, ExtraArgs> =
        args.map(|(component, flags)| (component.clone(), text_map(flags))).collect();
    let source = derive_source(reader);
    check_components(reader);
    let kubelet = derive_kubelet(reader, "kubelet");
    if mode == ControlPlaneMode::Systemd {
        check_services(reader, &source, node);
    }
    ClusterSpec {
        name: reader.text("cluster.name"),
        endpoint,
        local_balancer,
        pod_subnets: reader.subnets("network.pod_cidr"),
        service_subnets: reader.subnets("network.service_cidr"),
        dns_domain,
        mode,
        source,
        images: derive_images(reader, &version),
        version,
        audit: derive_audit(reader, node, extra_args.get(Component::ApiServer.name())),
        extra_args,
        certs: CertSpec {
            sans: reader.texts("certs.sans"),
            leaf: reader.hours("certs.leaf"),
            ca: reader.hours("certs.ca"),
            renewal: reader.flag("certs.renewal"),
        },
        external_etcd: derive_etcd(reader),
        snapshots: derive_snapshots(reader),
        hardening: reader.flag("security.hardening"),
        encryption: optional_path(reader, "encryption.config"),
        kubelet,
        kube_proxy: reader.json("kube_proxy"),
        network: NetworkSpec { builtin: reader.flag("network.enabled"), proxy, dns: reader.flag("network.dns") },
        external_cloud: derive_cloud(reader),
    }
}

/// Rejects unknown components in tables by component: their values would have no effect.
fn check_components(reader: &mut Reader<'_>) {
    let servers = Component::ALL.map(Component::name);
    let addons = ["kube-proxy", "coredns", "pause"];
    let all = [servers.as_slice(), &addons].concat();
    // etcd's tools are beside etcd, unless they are named.
    let programs = [all.as_slice(), &["etcdctl", "etcdutl"]].concat();
    for (name, known) in [("args", servers.to_vec()), ("components.images", all), ("components.binaries", programs)] {
        let named = reader.layers.value(name).and_then(Value::as_table).into_iter().flatten();
        let odd: Vec<String> = named.map(|(key, _)| key.clone()).filter(|key| !known.contains(&key.as_str())).collect();
        for key in odd {
            reader.fault(name, format!("unknown component \"{key}\"; known: {}", known.join(", ")));
        }
    }
}

fn derive_cloud(reader: &mut Reader<'_>) -> bool {
    let provider = reader.text("cluster.cloud_provider");
    if !["none", "external"].contains(&provider.as_str()) {
        let remedy = "in-tree providers were removed from Kubernetes: set external, and name the image or program of your \
                      provider's cloud-controller-manager in [components]";
        reader.fault("cluster.cloud_provider", format!("\"{provider}\" is not one of: none, external; {remedy}"));
    }
    provider == "external"
}

fn derive_source(reader: &mut Reader<'_>) -> ComponentSource {
    match reader.text("components.source").as_str() {
        "registry" => ComponentSource::Registry,
        "archive" => {
            let paths: Vec<PathBuf> = reader.texts("components.archives").into_iter().map(PathBuf::from).collect();
            if paths.is_empty() {
                reader
                    .fault("components.archives", "has to name at least one archive or folder for source \"archive\"");
            }
            ComponentSource::Archive { paths }
        }
        "host" => {
            let programs = reader.map("components.binaries");
            for component in Component::REQUIRED.iter().filter(|component| !programs.contains_key(component.name())) {
                reader.fault("components.binaries", format!("{component} has to be named for source \"host\""));
            }
            ComponentSource::Host { programs: programs.into_iter().map(|(k, v)| (k, PathBuf::from(v))).collect() }
        }
        other => {
            reader.fault("components.source", format!("\"{other}\" is not one of: registry, archive, host"));
            ComponentSource::Registry
        }
    }
}

/// Checks the requirements of systemd services.
fn check_services(reader: &mut Reader<'_>, source: &ComponentSource, node: &NodeSpec) {
    if !matches!(source, ComponentSource::Host { .. }) {
        reader.fault("mode", NEEDS_PROGRAMS);
    }
    if node.api_port < 1024 {
        reader.fault("node.api_port", "has to be at least 1024, because the systemd service runs without privileges");
    }
}

fn derive_images(reader: &Reader<'_>, version: &str) -> BTreeMap<String, String> {
    let registry = reader.text("components.registry");
    let registry = registry.trim_end_matches('/');
    let versioned = VERSIONED.iter().map(|c| ((*c).to_owned(), format!("{registry}/{c}:{version}")));
    let others = [("etcd", ETCD), ("coredns", COREDNS), ("pause", PAUSE)];
    let others = others.iter().map(|(c, image)| ((*c).to_owned(), format!("{registry}/{image}")));
    versioned.chain(others).chain(reader.map("components.images")).collect()
}

fn derive_etcd(reader: &mut Reader<'_>) -> Option<ExternalEtcd> {
    let endpoints = reader.texts("etcd.endpoints");
    if endpoints.is_empty() {
        return None;
    }
    Some(ExternalEtcd {
        endpoints,
        ca: reader.path("etcd.ca"),
        certificate: reader.path("etcd.certificate"),
        key: reader.path("etcd.key"),
    })
}

fn optional_path(reader: &mut Reader<'_>, name: &str) -> Option<PathBuf> {
    (!reader.text(name).is_empty()).then(|| reader.path(name))
}

/// With one of these flags, the audit log is configured by flags alone.
const OWN_AUDIT: [&str; 3] = ["audit-policy-file", "audit-log-path", "audit-webhook-config-file"];

fn derive_audit(reader: &mut Reader<'_>, node: &NodeSpec, args: Option<&ExtraArgs>) -> Option<AuditSpec> {
    let own = || args.is_some_and(|args| OWN_AUDIT.iter().any(|flag| args.contains_key(*flag)));
    let (policy, built_in) = match reader.text("audit.policy").as_str() {
        "none" => return None,
        "" if own() => return None,
        "" => (audit_policy_path(&node.paths), true),
        _ => (reader.path("audit.policy"), false),
    };
    let log = reader.path("audit.log");
    // The API server gets write access to the folder, which must not be /var/log itself.
    let shared = ["/", "/var", "/var/log", "/tmp", "/etc"];
    if log.parent().is_none_or(|folder| shared.iter().any(|shared| folder == Path::new(shared))) {
        reader.fault("audit.log", format!("\"{}\" has to be in a dedicated folder", log.display()));
    }
    Some(AuditSpec { policy, built_in, log })
}

fn derive_snapshots(reader: &mut Reader<'_>) -> Option<SnapshotSpec> {
    let schedule = reader.text("etcd.snapshots");
    let keep = match reader.layers.value("etcd.snapshots_kept").and_then(Value::as_integer).map(u16::try_from) {
        Some(Ok(keep)) if keep > 0 => keep,
        _ => {
            reader
                .fault("etcd.snapshots_kept", "has to be at least 1; to disable snapshots set etcd.snapshots to never");
            1
        }
    };
    let drills = reader.text("etcd.drills");
    for (name, schedule) in [("etcd.snapshots", &schedule), ("etcd.drills", &drills)] {
        // A line break would begin another setting of the timer.
        if schedule.is_empty() || schedule.contains(char::is_control) {
            reader.fault(name, "has to be a schedule like daily or *-*-* 00/6:00, or never");
        }
    }
    let drills = (drills != "never").then_some(drills);
    (schedule != "never").then_some(SnapshotSpec { schedule, keep, drills })
}

fn check_networks(reader: &mut Reader<'_>, cluster: &ClusterSpec, node: &NodeSpec) {
    if cluster.service_subnets.is_empty() && !reader.faults.iter().any(|f| f.setting == "network.service_cidr") {
        reader.fault("network.service_cidr", "has to name a network");
    }
    for pods in &cluster.pod_subnets {
        for services in &cluster.service_subnets {
            if pods.contains(services) || services.contains(pods) {
                reader.fault("network.pod_cidr", format!("{pods} overlaps network.service_cidr {services}"));
            }
        }
    }
    for (name, subnets) in
        [("network.pod_cidr", &cluster.pod_subnets), ("network.service_cidr", &cluster.service_subnets)]
    {
        for subnet in subnets.iter().filter(|subnet| subnet.contains(&node.address)) {
            reader.fault(name, format!("{subnet} contains the address of the node, {}", node.address));
        }
    }
}

fn is_dns_subdomain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn is_version(text: &str) -> bool {
    let parts = text.strip_prefix('v').map(|rest| rest.split('.').collect::<Vec<_>>()).unwrap_or_default();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

fn parse_taint(text: &str) -> Option<Taint> {
    let (rest, effect) = text.rsplit_once(':')?;
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    let known = matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute");
    (known && !key.is_empty()).then(|| Taint { key: key.into(), value: value.into(), effect: effect.into() })
}
