//! The input from which the cluster's objects are rendered.

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
    /// `host:port` at which every node reaches the API.
    pub control_plane_endpoint: String,
    /// `host:port` at which programs on a node reach it: the same, or the node's own balancer.
    pub node_endpoint: String,
    /// Service subnets, at most one per family; the DNS service gets the tenth address of the first one.
    pub service_subnets: Vec<IpNet>,
    /// Pod subnets, at most one per family; empty if the user's network assigns its own.
    pub pod_subnets: Vec<IpNet>,
    /// The cluster's DNS domain, `cluster.local` unless set.
    pub dns_domain: String,
    /// The PKI folder of nodes, `/etc/kubernetes/pki` unless set.
    pub certificates_directory: String,
    /// The folder of static pod manifests on nodes.
    pub manifests_directory: String,
    /// Data directory of etcd on control planes.
    pub etcd_data_directory: String,
    /// Endpoints and client files of an external etcd; `None` if the control planes run it.
    pub external_etcd: Option<ExternalEtcd>,
    /// True if kubelets get the fields that the CIS benchmark requires.
    pub hardening: bool,
    /// Registry and path prefix of the upstream images.
    pub image_repository: String,
    /// `cgroupDriver` of the kubelets: `systemd` or `cgroupfs`.
    pub cgroup_driver: String,
    /// CoreDNS; `None` if the user provides another DNS.
    pub coredns: Option<Addon>,
    /// Merged into the `KubeletConfiguration` of all nodes as a JSON merge patch; null changes nothing.
    pub kubelet_configuration: Value,
    /// kube-proxy's mode, `nftables` unless set.
    pub kube_proxy_mode: String,
    /// True when the built-in pod network runs on the nodes.
    pub builtin_network: bool,
    /// True when a cloud controller manager runs, which needs permissions.
    pub cloud_controller: bool,
    /// Merged into the `KubeProxyConfiguration` in the same way.
    pub kube_proxy_configuration: Value,
    /// kube-proxy; `None` when the user's network replaces it.
    pub kube_proxy: Option<Addon>,
}

/// Source of an add-on's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addon {
    /// Image of the container; with `host_binary` an empty one.
    pub image: String,
    /// A static program on the nodes, mounted read-only into the container and run instead of the image's.
    pub host_binary: Option<String>,
}

impl ObjectsSpec {
    /// The address of the DNS service: the tenth of the first service subnet.
    pub fn dns_address(&self) -> Option<IpAddr> {
        nth_address(self.service_subnets.first()?, 10)
    }
}

/// The `n`th address of a subnet; `None` if it is outside.
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
