//! Settings that all nodes of a cluster share.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::Endpoint;

/// The cluster that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSpec {
    /// Name in kubeconfigs and in the controller manager's flags.
    pub name: String,
    /// Version of the control plane, e.g. `v1.36.3`.
    pub version: String,
    /// Where every node and user reaches the API; the first node's own address when nothing else is set.
    pub endpoint: Endpoint,
    /// True if the endpoint is a single API server, not a load balancer: then every node reaches all of them
    /// through a balancer of its own.
    pub local_balancer: bool,
    /// Pod subnets, at most one per address family; empty when no node gets a pod range from the cluster.
    pub pod_subnets: Vec<IpNet>,
    /// Service subnets, one or one per address family; the first gives `kubernetes` its address.
    pub service_subnets: Vec<IpNet>,
    /// Domain of Services, `cluster.local` unless set.
    pub dns_domain: String,
    /// How control-plane components are run.
    pub mode: ControlPlaneMode,
    /// Where the components come from.
    pub source: ComponentSource,
    /// Images by component name (`kube-apiserver`, `etcd`, `pause`, `coredns`, `kube-proxy`, …).
    pub images: BTreeMap<String, String>,
    /// Flags on top of ours, by component name; an empty value removes a flag of ours.
    pub extra_args: BTreeMap<String, ExtraArgs>,
    /// Names, lifetimes and extra SANs of certificates.
    pub certs: CertSpec,
    /// etcd that somebody else runs; none means one member on each control plane.
    pub external_etcd: Option<ExternalEtcd>,
    /// Scheduled snapshots of the cluster's own etcd; `None` if disabled.
    pub snapshots: Option<SnapshotSpec>,
    /// The audit log of the API server; `None` if disabled.
    pub audit: Option<AuditSpec>,
    /// True for the defaults of the CIS benchmark; false for those of kubeadm.
    pub hardening: bool,
    /// The EncryptionConfiguration by which the API server writes to etcd; none: as it comes.
    pub encryption: Option<PathBuf>,
    /// Fields laid over our KubeletConfiguration.
    pub kubelet: Map<String, Value>,
    /// Fields laid over our KubeProxyConfiguration.
    pub kube_proxy: Map<String, Value>,
    /// The pod network.
    pub network: NetworkSpec,
    /// True when a cloud controller manager completes the nodes (`cloud-provider=external`).
    pub external_cloud: bool,
}

/// `--name=value` pairs of one component.
pub type ExtraArgs = BTreeMap<String, String>;

/// How control-plane components are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlPlaneMode {
    /// As static pods of this node's kubelet.
    StaticPods,
    /// As systemd services.
    Systemd,
}

impl ControlPlaneMode {
    /// The value of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StaticPods => "static-pods",
            Self::Systemd => "systemd",
        }
    }
}

/// Where the components come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentSource {
    /// Images pulled from their registry by name.
    Registry,
    /// OCI or docker archives on the node.
    Archive {
        /// Archive files, or folders of `*.tar` files.
        paths: Vec<PathBuf>,
    },
    /// Static programs on the node, mounted into an image that holds no bytes.
    Host {
        /// Program by component name.
        programs: BTreeMap<String, PathBuf>,
    },
}

/// Certificates of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertSpec {
    /// Further names and addresses in the API server's certificate.
    pub sans: Vec<String>,
    /// Life of a leaf.
    pub leaf: Duration,
    /// Life of a CA.
    pub ca: Duration,
    /// Whether a timer on each control plane renews what has lived two thirds of its lifetime.
    pub renewal: bool,
}

/// An etcd cluster outside ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalEtcd {
    /// Client URLs.
    pub endpoints: Vec<String>,
    /// CA that signed its server certificates.
    pub ca: PathBuf,
    /// Our client certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Scheduled snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSpec {
    /// `OnCalendar=` of a timer (systemd.time(7)).
    pub schedule: String,
    /// How many of each node are kept.
    pub keep: u16,
    /// `OnCalendar=` of the restore drills; `None` if disabled.
    pub drills: Option<String>,
}

/// The audit log of an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSpec {
    /// The policy: what is logged, at which level.
    pub policy: PathBuf,
    /// True when the policy is ours to write.
    pub built_in: bool,
    /// The log, in a folder of its own.
    pub log: PathBuf,
}

/// The pod network and the proxy for Services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Our own bridge network; off when the user brings a CNI.
    pub builtin: bool,
    /// kube-proxy's mode; `None` when the user brings a replacement.
    pub proxy: Option<ProxyMode>,
    /// CoreDNS on or off.
    pub dns: bool,
}

/// Modes of kube-proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyMode {
    /// nftables.
    Nftables,
    /// iptables.
    Iptables,
}

impl ProxyMode {
    /// The value of KubeProxyConfiguration's `mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }
}

/// The component of clouds, which each provider builds.
pub const CLOUD_CONTROLLER_MANAGER: &str = "cloud-controller-manager";

/// Where a node's own balancer listens (beside the API server's 6443).
pub const BALANCER_PORT: u16 = 6444;

impl ClusterSpec {
    /// Where the programs of a node reach the API.
    pub fn node_endpoint(&self) -> Endpoint {
        if self.local_balancer { Endpoint::new(Ipv4Addr::LOCALHOST, BALANCER_PORT) } else { self.endpoint.clone() }
    }

    /// True when the cloud controller manager is ours to run: its image, or its program, is named.
    pub fn runs_cloud_controller(&self) -> bool {
        let program = match &self.source {
            ComponentSource::Host { programs } => programs.contains_key(CLOUD_CONTROLLER_MANAGER),
            ComponentSource::Registry | ComponentSource::Archive { .. } => {
                self.images.contains_key(CLOUD_CONTROLLER_MANAGER)
            }
        };
        self.external_cloud && program
    }

    /// The audit log that is kept: the built-in policy is part of the hardening.
    pub fn audit(&self) -> Option<&AuditSpec> {
        self.audit.as_ref().filter(|audit| !audit.built_in || self.hardening)
    }

    /// True when kubelets get their serving certificates from the cluster, so that API servers can tell them from others.
    pub fn signs_kubelet_servers(&self) -> bool {
        self.kubelet.get("serverTLSBootstrap") != Some(&Value::Bool(false)) && !self.kubelet.contains_key("tlsCertFile")
    }

    /// Image of a component, by component name.
    pub fn image(&self, component: &str) -> &str {
        self.images.get(component).map_or("", String::as_str)
    }

    /// Makes another version the wanted one. Images that are named by the version go along; others were named by the user.
    pub fn set_version(&mut self, version: &str) {
        let tag = format!(":{}", self.version);
        for (_, image) in self.images.iter_mut().filter(|(component, _)| component.starts_with("kube-")) {
            if let Some(name) = image.strip_suffix(&tag) {
                *image = format!("{name}:{version}");
            }
        }
        self.version = version.to_owned();
    }

    /// First address of the first service subnet: the `kubernetes` Service.
    pub fn api_service_ip(&self) -> Option<IpAddr> {
        self.service_ip(1)
    }

    /// Tenth address of the first service subnet: the DNS Service.
    pub fn dns_ip(&self) -> Option<IpAddr> {
        self.service_ip(10)
    }

    fn service_ip(&self, index: u32) -> Option<IpAddr> {
        let subnet = self.service_subnets.first()?;
        let address = match subnet.network() {
            IpAddr::V4(base) => IpAddr::V4(u32::from(base).checked_add(index)?.into()),
            IpAddr::V6(base) => IpAddr::V6(u128::from(base).checked_add(index.into())?.into()),
        };
        subnet.contains(&address).then_some(address)
    }

    /// Issuer of service-account tokens.
    pub fn service_account_issuer(&self) -> String {
        format!("https://kubernetes.default.svc.{}", self.dns_domain)
    }
}
