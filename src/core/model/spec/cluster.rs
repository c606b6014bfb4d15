//! Settings that all nodes of a cluster share.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::super::Release;
use super::Component;
use super::Endpoint;

/// The settings of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSpec {
    /// Name in kubeconfigs and in the controller manager's flags.
    pub name: String,
    /// Version of the control plane, e.g. `v1.36.3`.
    pub version: String,
    /// Where every node and user reaches the API; by default the first node's own address.
    pub endpoint: Endpoint,
    /// True if the endpoint is a single API server, not a load balancer: then every node reaches all API servers
    /// through its own balancer.
    pub local_balancer: bool,
    /// Pod subnets, at most one per address family; empty if the cluster does not assign pod CIDRs to nodes.
    pub pod_subnets: Vec<IpNet>,
    /// Service subnets, at most one per address family; the `kubernetes` Service gets the first address of the first
    /// one.
    pub service_subnets: Vec<IpNet>,
    /// Domain of Services, `cluster.local` unless set.
    pub dns_domain: String,
    /// How control-plane components are run.
    pub mode: ControlPlaneMode,
    /// Source of the components' programs.
    pub source: ComponentSource,
    /// Images by component name (`kube-apiserver`, `etcd`, `pause`, `coredns`, `kube-proxy`, …).
    pub images: BTreeMap<String, String>,
    /// Flags in addition to ours, by component name; an empty value removes one of ours.
    pub extra_args: BTreeMap<String, ExtraArgs>,
    /// Names, lifetimes and extra SANs of certificates.
    pub certs: CertSpec,
    /// An external etcd; `None` if each control plane runs a member.
    pub external_etcd: Option<ExternalEtcd>,
    /// Scheduled snapshots of the cluster's own etcd; `None` if disabled.
    pub snapshots: Option<SnapshotSpec>,
    /// The audit log of the API server; `None` if disabled.
    pub audit: Option<AuditSpec>,
    /// True for the defaults of the CIS benchmark; false for those of kubeadm.
    pub hardening: bool,
    /// The EncryptionConfiguration for the API server's data in etcd; `None` stores it unencrypted.
    pub encryption: Option<PathBuf>,
    /// Fields merged over our KubeletConfiguration.
    pub kubelet: Map<String, Value>,
    /// Fields merged over our KubeProxyConfiguration.
    pub kube_proxy: Map<String, Value>,
    /// The pod network and its add-ons.
    pub network: NetworkSpec,
    /// True if a cloud controller manager initializes the nodes (`cloud-provider=external`).
    pub external_cloud: bool,
}

/// Flags of one component, by name without dashes.
pub type ExtraArgs = BTreeMap<String, String>;

/// How control-plane components are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlPlaneMode {
    /// As static pods, run by the node's kubelet.
    StaticPods,
    /// As systemd services of the node.
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

/// Source of the components' programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentSource {
    /// Images, pulled by name from their registry.
    Registry,
    /// OCI or docker archives on the node.
    Archive {
        /// Archive files, or folders of `*.tar` files.
        paths: Vec<PathBuf>,
    },
    /// Static programs on the node, mounted into an empty image.
    Host {
        /// Path of the program, by component name.
        programs: BTreeMap<String, PathBuf>,
    },
}

/// Certificates of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertSpec {
    /// Additional names and addresses in the API server's certificate.
    pub sans: Vec<String>,
    /// Lifetime of leaf certificates.
    pub leaf: Duration,
    /// Lifetime of CA certificates.
    pub ca: Duration,
    /// True if a timer on each control plane renews certificates after two thirds of their lifetime.
    pub renewal: bool,
}

/// An etcd cluster that this cluster uses but does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalEtcd {
    /// Client URLs of its members.
    pub endpoints: Vec<String>,
    /// CA that signed its server certificates.
    pub ca: PathBuf,
    /// Client certificate of the API servers.
    pub certificate: PathBuf,
    /// Private key of that certificate.
    pub key: PathBuf,
}

/// When snapshots are taken and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSpec {
    /// `OnCalendar=` of a timer (systemd.time(7)).
    pub schedule: String,
    /// Number of snapshots that each node keeps.
    pub keep: u16,
    /// `OnCalendar=` of the restore drills; `None` if disabled.
    pub drills: Option<String>,
}

/// The audit log of an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSpec {
    /// The policy file: which requests are logged at which level.
    pub policy: PathBuf,
    /// True if the policy is the built-in one, which we write.
    pub built_in: bool,
    /// The log file, in a folder for this purpose only.
    pub log: PathBuf,
}

/// The pod network and the proxy for Services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSpec {
    /// True for the built-in bridge network; false if the user provides a CNI.
    pub builtin: bool,
    /// kube-proxy's mode; `None` if the user provides a replacement.
    pub proxy: Option<ProxyMode>,
    /// True to install CoreDNS.
    pub dns: bool,
}

/// The modes of kube-proxy that are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyMode {
    /// The default: rules in nftables.
    Nftables,
    /// For kernels or tools without nftables.
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

/// Port of a node's own balancer (the API server's is 6443).
pub const BALANCER_PORT: u16 = 6444;

impl ClusterSpec {
    /// `host:port` at which programs on a node reach the API.
    pub fn node_endpoint(&self) -> Endpoint {
        if self.local_balancer { Endpoint::new(Ipv4Addr::LOCALHOST, BALANCER_PORT) } else { self.endpoint.clone() }
    }

    /// The components of each of its control planes, without that of a cloud, in start order: etcd only if it is not
    /// external.
    pub fn own_components(&self) -> impl Iterator<Item = Component> + use<> {
        let etcd = self.external_etcd.is_none().then_some(Component::Etcd);
        etcd.into_iter().chain(Component::CONTROL_PLANE)
    }

    /// True if we run the cloud controller manager: its image or program is configured.
    pub fn runs_cloud_controller(&self) -> bool {
        let program = match &self.source {
            ComponentSource::Host { programs } => programs.contains_key(Component::CloudControllerManager.name()),
            ComponentSource::Registry | ComponentSource::Archive { .. } => {
                self.images.contains_key(Component::CloudControllerManager.name())
            }
        };
        self.external_cloud && program
    }

    /// The audit settings in force: the built-in policy is part of the hardening.
    pub fn audit(&self) -> Option<&AuditSpec> {
        self.audit.as_ref().filter(|audit| !audit.built_in || self.hardening)
    }

    /// True if the cluster signs the serving certificates of kubelets, so that API servers can authenticate them.
    pub fn signs_kubelet_servers(&self) -> bool {
        self.kubelet.get("serverTLSBootstrap") != Some(&Value::Bool(false)) && !self.kubelet.contains_key("tlsCertFile")
    }

    /// Image of a component, by component name.
    pub fn image(&self, component: &str) -> &str {
        self.images.get(component).map_or("", String::as_str)
    }

    /// Changes the version. Images that belong to the old version follow; others were chosen by the user.
    pub fn set_version(&mut self, version: &str) {
        let of = |version: &str| version.parse().ok().and_then(Release::of);
        if let (Some(old), Some(new)) = (of(&self.version), of(version)) {
            for ((component, before), (_, after)) in old.images.iter().zip(&new.images) {
                let Some(image) = self.images.get_mut(*component) else { continue };
                if let Some(registry) = image.strip_suffix(before) {
                    *image = format!("{registry}{after}");
                }
            }
        }
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
