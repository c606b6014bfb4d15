//! The fields of a Node that matter for the pod network.

use std::net::IpAddr;

use ipnet::IpNet;

/// A Node's addresses and pod CIDRs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeNetwork {
    /// `metadata.name` of the Node.
    pub name: String,
    /// `metadata.creationTimestamp`, which is set by the API server; `None` if it is invalid.
    pub created: Option<jiff::Timestamp>,
    /// `spec.podCIDRs`, at most one per address family; empty until the controller manager assigns one.
    pub pod_cidrs: Vec<IpNet>,
    /// The addresses of type `InternalIP`, in the order of the Node's status.
    pub addresses: Vec<IpAddr>,
}

impl NodeNetwork {
    /// Parses the fields as the API spells them, without an age. Invalid values are ignored: a Node is written by its
    /// own kubelet, and one bad Node must not cost the others their routes.
    pub fn parse<'a>(
        name: &str,
        pod_cidrs: impl IntoIterator<Item = &'a str>,
        internal_ips: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            created: None,
            pod_cidrs: pod_cidrs
                .into_iter()
                .filter_map(|text| text.parse().ok())
                .map(|net: IpNet| net.trunc())
                .collect(),
            addresses: internal_ips.into_iter().filter_map(|text| text.parse().ok()).collect(),
        }
    }

    /// The first internal address of the same family as `cidr`.
    pub fn address_for(&self, cidr: &IpNet) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == cidr.addr().is_ipv4())
    }
}
