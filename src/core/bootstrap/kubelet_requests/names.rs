//! Which node owns a name or an address, derived from everything the cluster knows.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{Refusal, show};
use crate::core::model::pki::San;

/// The names of a registered Node. Name, role and age are controlled by the API server; the rest is written by the node
/// or its cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeNames {
    /// `metadata.name` of the Node.
    pub name: String,
    /// Its addresses of the types Hostname, InternalDNS and ExternalDNS.
    pub dns: Vec<String>,
    /// Its addresses that are IP addresses.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`, at most one per IP family.
    pub pod_subnets: Vec<IpNet>,
    /// True if it has the control-plane label, which NodeRestriction does not let a kubelet set.
    pub control_plane: bool,
    /// When it was registered.
    pub registered: Timestamp,
}

/// Names and addresses in use in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNames {
    /// All registered Nodes, the requesting one included.
    pub nodes: Vec<NodeNames>,
    /// Names in the API server's certificate, addresses of all API servers and of an external etcd.
    pub control_plane: BTreeSet<San>,
    /// Service subnets, at most one per IP family.
    pub service_subnets: Vec<IpNet>,
    /// Addresses of existing Services, among them load balancer and external IPs.
    pub service_addresses: BTreeSet<IpAddr>,
    /// Pod subnets, at most one per IP family.
    pub pod_subnets: Vec<IpNet>,
    /// DNS domain of Services, e.g. `cluster.local`.
    pub dns_domain: String,
    /// True if a cloud assigns additional DNS names to nodes.
    pub cloud: bool,
}

impl ClusterNames {
    /// The Node of this name; `None` if it is not registered.
    pub fn node(&self, name: &str) -> Option<&NodeNames> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// `Ok` if this node may have a certificate for that name or address.
    pub fn judge(&self, node: &NodeNames, asked: &San) -> Result<(), Refusal> {
        match asked {
            San::Dns(name) => {
                self.judge_form(name)?;
                // A control plane may use them: it holds the CA keys anyway.
                if self.control_plane.contains(asked) && !node.control_plane {
                    return Err(Refusal::ControlPlane(name.clone()));
                }
                for other in self.others(node) {
                    if other.name == *name || (other.dns.contains(name) && comes_first(other, node)) {
                        return Err(Refusal::OtherNode(name.clone(), other.name.clone()));
                    }
                }
                // Without a cloud, additional DNS names come only from the node itself and prove nothing.
                if *name == node.name || (self.cloud && node.dns.contains(name)) {
                    return Ok(());
                }
                Err(Refusal::Foreign(name.clone()))
            }
            San::Ip(address) => self.judge_address(node, *address, show(asked)),
        }
    }

    /// `Ok` if a bootstrap token may create a node of this name. Control planes join with tokens of a separate group.
    pub fn judge_new_name(&self, name: &str, joins_control_plane: bool) -> Result<(), Refusal> {
        // Some clusters name nodes by their addresses (`--hostname-override`).
        if let Ok(address) = name.parse::<IpAddr>() {
            let addresses = vec![address];
            let registered = Timestamp::MAX;
            let node = NodeNames { addresses, control_plane: joins_control_plane, registered, ..NodeNames::default() };
            return self.judge_address(&node, address, name.to_owned());
        }
        self.judge_form(name)?;
        if !joins_control_plane && self.control_plane.contains(&San::Dns(name.to_owned())) {
            return Err(Refusal::ControlPlane(name.to_owned()));
        }
        let other = self.nodes.iter().find(|node| node.dns.iter().any(|dns| dns == name) && node.name != name);
        match other {
            Some(other) => Err(Refusal::OtherNode(name.to_owned(), other.name.clone())),
            None => Ok(()),
        }
    }

    /// Rejects names that cannot be a machine's: not lower-case RFC 1123, or in a domain reserved for something else.
    fn judge_form(&self, name: &str) -> Result<(), Refusal> {
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let label = |label: &str| {
            label.len() <= 63
                && label.starts_with(letter)
                && label.ends_with(letter)
                && label.chars().all(|c| letter(c) || c == '-')
        };
        let is_within =
            |domain: &str| name == domain || name.strip_suffix(domain).is_some_and(|before| before.ends_with('.'));
        let form = name.len() <= 253 && name.split('.').all(label);
        if !form || name.parse::<IpAddr>().is_ok() || is_within("localhost") {
            return Err(Refusal::NotAMachine(name.to_owned()));
        }
        let domain = self.dns_domain.trim_matches('.').to_ascii_lowercase();
        if is_within("svc") || (!domain.is_empty() && is_within(&domain)) {
            return Err(Refusal::Service(name.to_owned()));
        }
        Ok(())
    }

    fn judge_address(&self, node: &NodeNames, address: IpAddr, shown: String) -> Result<(), Refusal> {
        if !is_of_a_machine(address) {
            return Err(Refusal::NotAMachine(shown));
        }
        let within = |subnets: &[IpNet]| subnets.iter().any(|subnet| subnet.contains(&address));
        if within(&self.service_subnets) || self.service_addresses.contains(&address) {
            return Err(Refusal::Service(shown));
        }
        // In some clouds nodes and pods share a subnet; only the ranges assigned to nodes count.
        if within(&self.pod_subnets)
            && let Some(owner) = self.nodes.iter().find(|node| within(&node.pod_subnets))
        {
            return Err(Refusal::Pod(shown, owner.name.clone()));
        }
        if self.control_plane.contains(&San::Ip(address)) && !node.control_plane {
            return Err(Refusal::ControlPlane(shown));
        }
        if let Some(other) =
            self.others(node).find(|other| other.addresses.contains(&address) && comes_first(other, node))
        {
            return Err(Refusal::OtherNode(shown, other.name.clone()));
        }
        if node.addresses.contains(&address) { Ok(()) } else { Err(Refusal::Foreign(shown)) }
    }

    fn others<'a>(&'a self, node: &'a NodeNames) -> impl Iterator<Item = &'a NodeNames> {
        self.nodes.iter().filter(|other| other.name != node.name)
    }
}

/// Each node writes its own addresses. Of two nodes with the same address, it belongs to the control plane, else to the
/// older node: a node that joins cannot take it over.
fn comes_first(other: &NodeNames, node: &NodeNames) -> bool {
    match (other.control_plane, node.control_plane) {
        (true, false) => true,
        (false, true) => false,
        (true, true) | (false, false) => (other.registered, &other.name) < (node.registered, &node.name),
    }
}

fn is_of_a_machine(address: IpAddr) -> bool {
    let special = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    let local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast() || address.octets()[0] == 0,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !special && !local
}
