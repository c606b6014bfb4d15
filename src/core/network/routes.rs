//! Routes to the pods of the other nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

/// The routing protocol number of our routes, which distinguishes them from all others. It is in the range that
/// `/etc/iproute2/rt_protos` leaves to local use.
pub const PROTOCOL: u8 = 82;

/// One of our routes: packets for `destination` are sent to the node at `gateway`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The other node's pod CIDR.
    pub destination: IpNet,
    /// The other node's internal address of the same family.
    pub gateway: IpAddr,
}

/// One change to the routing table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteChange {
    /// Remove one of our routes.
    Remove(Route),
    /// Add a route, replacing another one of ours to the same destination.
    Set(Route),
}

/// The changes from the observed routes of ours to the desired ones: removals first.
pub fn plan_routes(desired: &[Route], observed: &[Route]) -> Vec<RouteChange> {
    let wanted: BTreeMap<&IpNet, &IpAddr> = desired.iter().map(|route| (&route.destination, &route.gateway)).collect();
    let gone =
        observed.iter().filter(|route| !wanted.contains_key(&route.destination)).cloned().map(RouteChange::Remove);
    let new = desired.iter().filter(|route| !observed.contains(route)).cloned().map(RouteChange::Set);
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::network::NodeNetwork;
    use crate::core::network::claims::judge;

    fn derive_routes(nodes: &[NodeNetwork], own_name: &str, pod_subnets: &[IpNet]) -> Vec<Route> {
        judge(nodes, own_name, pod_subnets).routes()
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn node(name: &str, cidr: &str, address: &str) -> NodeNetwork {
        NodeNetwork::parse(name, [cidr], [address])
    }

    fn route(destination: &str, gateway: &str) -> Route {
        Route { destination: net(destination), gateway: gateway.parse().unwrap() }
    }

    #[test]
    fn every_other_node_with_a_cidr_gets_a_route() {
        let nodes = [
            node("n1", "10.244.0.0/24", "10.0.0.1"),
            node("n2", "10.244.1.0/24", "10.0.0.2"),
            NodeNetwork::parse("n3", [], ["10.0.0.3"]),
            NodeNetwork::parse("n4", ["10.244.3.0/24"], ["fd00::4"]),
        ];
        let routes = derive_routes(&nodes, "n1", &[net("10.244.0.0/16")]);
        assert_eq!(routes, [route("10.244.1.0/24", "10.0.0.2")]);
    }

    #[test]
    fn both_families_go_to_the_address_of_their_family() {
        let nodes = [NodeNetwork::parse("n2", ["10.244.1.0/24", "fd01:1::/64"], ["10.0.0.2", "fd00::2"])];
        let routes = derive_routes(&nodes, "n1", &[net("10.244.0.0/16"), net("fd01::/16")]);
        assert_eq!(routes, [route("10.244.1.0/24", "10.0.0.2"), route("fd01:1::/64", "fd00::2")]);
    }

    #[test]
    fn a_node_cannot_claim_addresses_outside_the_pod_subnet_or_of_another_node() {
        let nodes = [
            node("n1", "10.244.0.0/24", "10.0.0.1"),
            node("n2", "0.0.0.0/0", "10.0.0.2"),
            node("n3", "10.244.0.0/24", "10.0.0.3"),
            node("n4", "10.244.0.0/16", "10.0.0.4"),
            node("n5", "10.244.5.0/24", "10.0.0.5"),
            node("n6", "10.244.5.0/24", "10.0.0.6"),
        ];
        let routes = derive_routes(&nodes, "n1", &[net("10.244.0.0/16")]);
        assert_eq!(routes, [route("10.244.5.0/24", "10.0.0.5")]);
    }

    #[test]
    fn a_plan_removes_what_is_no_longer_wanted_and_replaces_what_moved() {
        let observed = [route("10.244.1.0/24", "10.0.0.2"), route("10.244.2.0/24", "10.0.0.3")];
        let desired = [route("10.244.2.0/24", "10.0.0.9"), route("10.244.3.0/24", "10.0.0.4")];
        assert_eq!(
            plan_routes(&desired, &observed),
            [
                RouteChange::Remove(route("10.244.1.0/24", "10.0.0.2")),
                RouteChange::Set(route("10.244.2.0/24", "10.0.0.9")),
                RouteChange::Set(route("10.244.3.0/24", "10.0.0.4")),
            ]
        );
        assert!(plan_routes(&desired, &desired).is_empty());
    }
}
