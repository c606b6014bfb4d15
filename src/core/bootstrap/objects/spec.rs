//! What the cluster's objects are rendered from.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::core::model::spec::ExternalEtcd;

/// The settings of a cluster that its API objects carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsSpec {
    /// The cluster's name, `kubernetes` unless set.
    pub cluster_name: String,
    /// The control plane's version with its `v`, e.g. `v1.36.3`.
    pub kubernetes_version: String,
    /// `host:port` under which every node reaches the API.
    pub control_plane_endpoint: String,
    /// `host:port` under which programs of a node reach it: the same, or the node's own balancer.
    pub node_endpoint: String,
    /// Service subnets, at most one per family; the DNS service has the first one's tenth address.
    pub service_subnets: Vec<IpNet>,
    /// Pod subnets, at most one per family; empty when the user brings a network that hands out its own.
    pub pod_subnets: Vec<IpNet>,
    /// The cluster's DNS domain, `cluster.local` unless set.
    pub dns_domain: String,
    /// Where nodes keep the PKI, `/etc/kubernetes/pki` unless set.
    pub certificates_directory: String,
    /// Where nodes keep static pod manifests.
    pub manifests_directory: String,
    /// etcd's data directory.
    pub etcd_data_directory: String,
    /// An external etcd.
    pub external_etcd: Option<ExternalEtcd>,
    /// The kubelet's fields of the CIS benchmark.
    pub hardening: bool,
    /// Registry and path before the upstream image names.
    pub image_repository: String,
    /// `systemd` or `cgroupfs`.
    pub cgroup_driver: String,
    /// CoreDNS; `None` when the user brings another DNS.
    pub coredns: Option<Component>,
    /// Laid over the `KubeletConfiguration` of all nodes as a JSON merge patch; null changes nothing.
    pub kubelet_configuration: Value,
    /// kube-proxy's mode, `nftables` unless set.
    pub kube_proxy_mode: String,
    /// True when our own pod network runs on the nodes.
    pub builtin_network: bool,
    /// True when we run a cloud controller manager, which needs its rights.
    pub cloud_controller: bool,
    /// Laid over the `KubeProxyConfiguration` likewise.
    pub kube_proxy_configuration: Value,
    /// kube-proxy; `None` when the user's network replaces it.
    pub kube_proxy: Option<Component>,
}

/// Where a component's program comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Image of the container. With `host_binary` one that holds no bytes of its own.
    pub image: String,
    /// A static program on the nodes, mounted read-only into the container and run in place of the image's.
    pub host_binary: Option<String>,
}

impl ObjectsSpec {
    /// The address of the DNS service: the tenth of the first service subnet.
    pub fn dns_address(&self) -> Option<IpAddr> {
        nth_address(self.service_subnets.first()?, 10)
    }
}

/// The `n`th address of a subnet, when it is inside.
pub fn nth_address(subnet: &IpNet, n: u32) -> Option<IpAddr> {
    let address = match subnet.network() {
        IpAddr::V4(first) => IpAddr::V4(u32::from(first).checked_add(n)?.into()),
        IpAddr::V6(first) => IpAddr::V6(u128::from(first).checked_add(n.into())?.into()),
    };
    subnet.contains(&address).then_some(address)
}

/// Subnets as Kubernetes' flags and files spell them: separated by commas.
pub fn join_subnets(subnets: &[IpNet]) -> String {
    subnets.iter().map(|subnet| subnet.to_string()).collect::<Vec<_>>().join(",")
}
