//! Which node gets which pod addresses: decides about the claims in Node objects.
//!
//! A Node is written by its own kubelet, which may be compromised: it can claim any range at creation, and any address
//! later. Older nodes keep what they have (`metadata.creationTimestamp` is set by the API server), so that a claim
//! never diverts the traffic of an existing node.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{NodeNetwork, Route};

/// A claim that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Name of the Node.
    pub node: String,
    /// Pod CIDR of the node.
    pub cidr: IpNet,
    /// InternalIP of the node, of the same family as the CIDR.
    pub gateway: IpAddr,
}

/// Why a claim is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not inside the cluster's pod subnets.
    #[error("it is not inside the cluster's pod subnets")]
    Outside,
    /// Its size differs from the CIDRs that the controller manager assigns.
    #[error("its size is /{size}, but pod CIDRs of this cluster are /{wanted}")]
    Size {
        /// Prefix length of the claimed CIDR, in bits.
        size: u8,
        /// Prefix length of the oldest node's CIDR, in bits.
        wanted: u8,
    },
    /// Another node has these addresses.
    #[error("it overlaps {cidr} of node {node}")]
    Overlap {
        /// Name of that node.
        node: String,
        /// Pod CIDR of that node.
        cidr: IpNet,
    },
    /// The Node has no InternalIP of the CIDR's family.
    #[error("the node has no InternalIP of its family")]
    NoAddress,
    /// The InternalIP cannot be that of a node.
    #[error("the node's InternalIP {0} is the address of a pod, or not the address of a host")]
    NoHost(IpAddr),
    /// Another node has the InternalIP.
    #[error("the node's InternalIP {address} is that of node {node}")]
    TakenAddress {
        /// The InternalIP that both have.
        address: IpAddr,
        /// Name of that node.
        node: String,
    },
}

/// A refused claim, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedClaim {
    /// Name of the Node.
    pub node: String,
    /// The pod CIDR that it claims.
    pub cidr: IpNet,
    /// Why it is refused.
    pub refusal: Refusal,
}

/// The claims of all other nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Accepted claims of nodes other than this one.
    pub accepted: Vec<Claim>,
    /// Refused claims of nodes other than this one.
    pub refused: Vec<RefusedClaim>,
}

impl Claims {
    /// The routes to the pods of other nodes, sorted.
    pub fn routes(&self) -> Vec<Route> {
        let mut routes: Vec<Route> =
            self.accepted.iter().map(|claim| Route { destination: claim.cidr, gateway: claim.gateway }).collect();
        routes.sort();
        routes
    }
}

/// Decides about the claims of all nodes on behalf of `own_name`, whose own range and addresses no other node gets.
///
/// Nodes are considered by age, then by name. Only the address used as a gateway counts as taken: a Node that lists
/// addresses of future machines does not block them.
pub fn judge(nodes: &[NodeNetwork], own_name: &str, pod_subnets: &[IpNet]) -> Claims {
    let mut by_age: Vec<&NodeNetwork> = nodes.iter().collect();
    by_age.sort_by_key(|node| (node.name != own_name, node.created.is_none(), node.created, &node.name));
    let sizes = Sizes::of(nodes, pod_subnets);
    let mut claims = Claims::default();
    let mut ranges: Vec<(&str, IpNet)> = Vec::new();
    let mut addresses: Vec<(&str, IpAddr)> = Vec::new();
    for node in by_age {
        let own = node.name == own_name;
        if own {
            ranges.extend(node.pod_cidrs.iter().map(|cidr| (own_name, *cidr)));
            addresses.extend(node.addresses.iter().map(|address| (own_name, *address)));
            continue;
        }
        for cidr in &node.pod_cidrs {
            let range = judge_range(*cidr, pod_subnets, &sizes, &ranges);
            match range.and_then(|()| judge_gateway(node, cidr, pod_subnets, &addresses)) {
                Ok(gateway) => {
                    ranges.push((&node.name, *cidr));
                    addresses.push((&node.name, gateway));
                    claims.accepted.push(Claim { node: node.name.clone(), cidr: *cidr, gateway });
                }
                Err(refusal) => claims.refused.push(RefusedClaim { node: node.name.clone(), cidr: *cidr, refusal }),
            }
        }
    }
    claims
}

/// The size of the cluster's pod CIDRs in each family: that of its oldest node, one of the first control planes. The
/// value of `--node-cidr-mask-size` is not available in any API object.
struct Sizes {
    four: Option<u8>,
    six: Option<u8>,
}

impl Sizes {
    fn of(nodes: &[NodeNetwork], pod_subnets: &[IpNet]) -> Self {
        let of_family = |four: bool| {
            let oldest = nodes.iter().filter_map(|node| {
                let mut inside = node.pod_cidrs.iter().filter(|cidr| is_inside(cidr, pod_subnets));
                let size = inside.find(|cidr| cidr.addr().is_ipv4() == four)?.prefix_len();
                Some((node.created.is_none(), node.created, &node.name, size))
            });
            oldest.min().map(|(.., size)| size)
        };
        Self { four: of_family(true), six: of_family(false) }
    }

    fn for_range(&self, cidr: &IpNet) -> Option<u8> {
        if cidr.addr().is_ipv4() { self.four } else { self.six }
    }
}

fn is_inside(cidr: &IpNet, pod_subnets: &[IpNet]) -> bool {
    pod_subnets.iter().any(|subnet| subnet.contains(cidr))
}

fn judge_range(cidr: IpNet, pod_subnets: &[IpNet], sizes: &Sizes, taken: &[(&str, IpNet)]) -> Result<(), Refusal> {
    if !is_inside(&cidr, pod_subnets) {
        return Err(Refusal::Outside);
    }
    if let Some(wanted) = sizes.for_range(&cidr).filter(|wanted| *wanted != cidr.prefix_len()) {
        return Err(Refusal::Size { size: cidr.prefix_len(), wanted });
    }
    let overlaps = |other: &IpNet| other.contains(&cidr) || cidr.contains(other);
    match taken.iter().find(|(_, other)| overlaps(other)) {
        Some((node, other)) => Err(Refusal::Overlap { node: (*node).to_owned(), cidr: *other }),
        None => Ok(()),
    }
}

fn judge_gateway(
    node: &NodeNetwork,
    cidr: &IpNet,
    pod_subnets: &[IpNet],
    taken: &[(&str, IpAddr)],
) -> Result<IpAddr, Refusal> {
    let address = node.address_for(cidr).ok_or(Refusal::NoAddress)?;
    let is_pods = pod_subnets.iter().any(|subnet| subnet.contains(&address));
    if is_pods || address.is_loopback() || address.is_unspecified() || address.is_multicast() {
        return Err(Refusal::NoHost(address));
    }
    match taken.iter().find(|(other, taken)| *taken == address && *other != node.name) {
        Some((other, _)) => Err(Refusal::TakenAddress { address, node: (*other).to_owned() }),
        None => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, time of creation, pod CIDRs, addresses.
    fn node(name: &str, created: i64, cidrs: &[&str], addresses: &[&str]) -> NodeNetwork {
        let parsed = NodeNetwork::parse(name, cidrs.iter().copied(), addresses.iter().copied());
        NodeNetwork { created: Some(jiff::Timestamp::from_second(created).unwrap()), ..parsed }
    }

    /// Gateways that n1 uses and claims that it refuses, in a cluster with one more honest node and these.
    fn judged(others: &[NodeNetwork]) -> (Vec<String>, Vec<String>) {
        let mut nodes = vec![
            node("n1", 100, &["10.244.0.0/24", "fd01:0:0:1::/64"], &["10.0.0.1", "fd00::1"]),
            node("n2", 200, &["10.244.1.0/24", "fd01:0:0:2::/64"], &["10.0.0.2", "fd00::2"]),
        ];
        nodes.extend_from_slice(others);
        let subnets = ["10.244.0.0/16".parse().unwrap(), "fd01::/48".parse().unwrap()];
        let claims = judge(&nodes, "n1", &subnets);
        let routes = claims.routes().iter().map(|r| format!("{} {}", r.destination, r.gateway)).collect();
        (routes, claims.refused.iter().map(|r| format!("{} {}: {}", r.node, r.cidr, r.refusal)).collect())
    }

    #[test]
    fn what_belongs_to_somebody_is_nobody_elses() {
        for (cidr, address, refusal) in [
            // A single pod of another node, a whole node, half of one, several.
            ("10.244.1.5/32", "10.0.0.9", "its size is /32, but pod CIDRs of this cluster are /24"),
            ("10.244.1.0/24", "10.0.0.9", "it overlaps 10.244.1.0/24 of node n2"),
            ("10.244.0.0/24", "10.0.0.9", "it overlaps 10.244.0.0/24 of node n1"),
            ("10.244.1.128/25", "10.0.0.9", "its size is /25, but pod CIDRs of this cluster are /24"),
            ("10.244.0.0/16", "10.0.0.9", "its size is /16, but pod CIDRs of this cluster are /24"),
            // Services, the nodes' network, everything.
            ("10.96.0.0/24", "10.0.0.9", "it is not inside the cluster's pod subnets"),
            ("10.0.0.0/24", "10.0.0.9", "it is not inside the cluster's pod subnets"),
            ("0.0.0.0/0", "10.0.0.9", "it is not inside the cluster's pod subnets"),
            ("::/0", "fd00::9", "it is not inside the cluster's pod subnets"),
            ("fd01:0:0:2::5/128", "fd00::9", "its size is /128, but pod CIDRs of this cluster are /64"),
            ("fd01:0:0:2::/64", "fd00::9", "it overlaps fd01:0:0:2::/64 of node n2"),
            // Gateways that belong to other nodes, to pods, or to nobody.
            ("10.244.9.0/24", "10.0.0.1", "the node's InternalIP 10.0.0.1 is that of node n1"),
            ("10.244.9.0/24", "10.0.0.2", "the node's InternalIP 10.0.0.2 is that of node n2"),
            (
                "10.244.9.0/24",
                "10.244.1.7",
                "the node's InternalIP 10.244.1.7 is the address of a pod, or not the address of a host",
            ),
            (
                "10.244.9.0/24",
                "127.0.0.1",
                "the node's InternalIP 127.0.0.1 is the address of a pod, or not the address of a host",
            ),
            (
                "10.244.9.0/24",
                "0.0.0.0",
                "the node's InternalIP 0.0.0.0 is the address of a pod, or not the address of a host",
            ),
            (
                "fd01:0:0:9::/64",
                "ff02::1",
                "the node's InternalIP ff02::1 is the address of a pod, or not the address of a host",
            ),
            ("10.244.9.0/24", "fd00::9", "the node has no InternalIP of its family"),
        ] {
            // A name that sorts first gives it no advantage.
            let (routes, refused) = judged(&[node("a", 900, &[cidr], &[address])]);
            assert_eq!(routes, ["10.244.1.0/24 10.0.0.2", "fd01:0:0:2::/64 fd00::2"], "{cidr} {address}");
            let cidr: IpNet = cidr.parse().unwrap();
            assert_eq!(refused, [format!("a {}: {refusal}", cidr.trunc())]);
        }
    }

    #[test]
    fn an_honest_node_beside_a_forger_gets_its_routes() {
        let forger = node("a", 150, &["10.244.3.0/24"], &["10.0.0.9", "10.0.0.3", "10.0.0.4"]);
        let honest = node("n3", 300, &["10.244.2.0/24"], &["10.0.0.3"]);
        let (routes, refused) = judged(&[forger, honest]);
        // Addresses that the attacker lists for later block nobody.
        assert!(routes.contains(&"10.244.2.0/24 10.0.0.3".to_owned()), "{routes:?}");
        assert_eq!(refused, Vec::<String>::new());
    }

    #[test]
    fn two_ranges_of_one_node_may_share_its_address_and_not_each_other() {
        let (_, refused) = judged(&[node("a", 900, &["10.244.5.0/24", "10.244.5.0/24"], &["10.0.0.9"])]);
        assert_eq!(refused, ["a 10.244.5.0/24: it overlaps 10.244.5.0/24 of node a"]);
    }
}
