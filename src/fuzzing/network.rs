//! Network data from other nodes and the host: Node objects, EndpointSlices, resolv.conf.

use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::input::text;
use crate::core::admission::NodeFacts;
use crate::core::bootstrap::dns_query;
use crate::core::network::claims::judge;
use crate::core::network::conflist::render_conflist;
use crate::core::network::masquerade::render_ruleset;
use crate::core::network::routes::plan_routes;
use crate::core::network::{NodeNetwork, RouteChange};
use crate::core::render::dns::pod_dns;
use crate::core::render::{NodeContext, parse_resolv_conf};

/// `name cidr,cidr address,address created` per line: routes stay in the cluster's subnets, accepted claims do not
/// overlap or share a gateway, the order of nodes does not matter, and the plan of changes leads to the wanted routes.
pub(super) fn node_network(input: &[u8]) {
    let Some(input) = text(input) else { return };
    let nodes: Vec<NodeNetwork> = input.lines().take(32).map(node).collect();
    let subnets: [IpNet; 2] = ["10.244.0.0/16".parse().unwrap(), "fd01::/48".parse().unwrap()];
    let claims = judge(&nodes, "n1", &subnets);
    let own = nodes.iter().filter(|node| node.name == "n1").flat_map(|node| &node.pod_cidrs);
    let mut taken: Vec<(&str, IpNet)> = own.map(|cidr| ("n1", *cidr)).collect();
    for claim in &claims.accepted {
        assert!(claim.node != "n1" && subnets.iter().any(|subnet| subnet.contains(&claim.cidr)), "{claim:?}");
        let overlaps = |other: &IpNet| other.contains(&claim.cidr) || claim.cidr.contains(other);
        assert!(taken.iter().all(|(_, other)| !overlaps(other)), "{claim:?}");
        assert!(subnets.iter().all(|subnet| !subnet.contains(&claim.gateway)), "{claim:?}");
        let same = claims.accepted.iter().filter(|other| other.gateway == claim.gateway);
        assert!(same.into_iter().all(|other| other.node == claim.node), "{claim:?}");
        taken.push((&claim.node, claim.cidr));
    }
    let mut routes = claims.routes();
    assert_eq!(routes.len(), claims.accepted.len());
    if nodes.iter().enumerate().all(|(at, node)| nodes[..at].iter().all(|other| other.name != node.name)) {
        let reversed: Vec<_> = nodes.iter().rev().cloned().collect();
        assert_eq!(routes, judge(&reversed, "n1", &subnets).routes());
    }
    let mut observed = judge(&nodes, "n2", &subnets).routes();
    for change in plan_routes(&routes, &observed) {
        match change {
            RouteChange::Remove(route) => observed.retain(|known| *known != route),
            RouteChange::Set(route) => {
                observed.retain(|known| known.destination != route.destination);
                observed.push(route);
            }
        }
    }
    observed.sort();
    routes.sort();
    assert_eq!(observed, routes);
    let cidrs: Vec<IpNet> = nodes.iter().flat_map(|node| node.pod_cidrs.clone()).collect();
    let plugins = render_conflist(&cidrs, None)["plugins"].as_array().map(Vec::len);
    assert_eq!(plugins, Some(2));
    let ruleset = render_ruleset(&cidrs);
    assert!(ruleset.lines().count() <= 16 && ruleset.len() <= 1024 + 200 * cidrs.len());
    if let Ok(node) = serde_json::from_str(input) {
        let _ = NodeFacts::of(&node);
    }
}

fn node(line: &str) -> NodeNetwork {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let mut list = || words.next().unwrap_or_default().split(',');
    let (cidrs, addresses) = (list(), list());
    let created = words.next().and_then(|second| Timestamp::from_second(second.parse().ok()?).ok());
    NodeNetwork { created, ..NodeNetwork::parse(name, cidrs, addresses) }
}

/// An answer of a DNS server: addresses come from records inside the message, and only for the question that was asked.
pub(super) fn dns_answer(input: &[u8]) {
    let Some(id) = input.first_chunk().map(|id| u16::from_be_bytes(*id)) else { return };
    let Ok(addresses) = dns_query::parse(id, input) else { return };
    // Each takes a name, type, class, lifetime and length, and its data.
    assert!(!addresses.is_empty() && addresses.len() <= input.len() / 15, "{addresses:?}");
    assert!(dns_query::parse(id.wrapping_add(1), input).is_err(), "the answer to another question");
    assert!(dns_query::parse(id, &input[..input.len().min(26)]).is_err(), "less than a record");
}

/// The node's resolv.conf: the configuration for pods respects glibc's limits, whatever it contains.
pub(super) fn resolv_conf(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let Ok(conf) = parse_resolv_conf(text) else { return };
    assert_eq!(Ok(&conf), parse_resolv_conf(text).as_ref());
    for policy in ["Default", "ClusterFirst", "None"] {
        let node = NodeContext {
            cluster_dns: vec![[10, 96, 0, 10].into()],
            cluster_domain: "cluster.local".into(),
            resolv_conf: Some(conf.clone()),
            ..NodeContext::defaults(Path::new("/var/lib/kubelet"))
        };
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": [], "dnsPolicy": policy}
        }))
        .expect("a pod");
        let (dns, _) = pod_dns(&node, &pod);
        assert!(dns.servers.len() <= 3 && dns.searches.len() <= 32);
        assert!(dns.searches.join(" ").len() <= 2048, "{} bytes of search domains", dns.searches.join(" ").len());
        assert!(dns.servers.iter().chain(&dns.searches).chain(&dns.options).all(|w| !w.contains(char::is_whitespace)));
    }
}
