//! Repairs of the pods' bridge: the CNI plugin creates it for the first pod, and only the agent restores it later.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::conflist::{BRIDGE, NETWORK};
use crate::core::model::json::at;

/// A pod's attachment to the bridge, from the CNI library's cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The pod's link on the node, e.g. `veth1a2b3c4d`.
    pub port: String,
    /// The bridge's hardware address, which pods have in their neighbor tables.
    pub bridge_mac: Option<[u8; 6]>,
}

/// The state of the bridge on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedBridge {
    /// The bridge's link; `None` if it does not exist.
    pub link: Option<BridgeLink>,
    /// The bridge's hardware address when a pod was last attached to it.
    pub mac: Option<[u8; 6]>,
    /// Existing links of pods, and whether each is attached to some bridge.
    pub ports: Vec<(String, bool)>,
}

/// State of an existing bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeLink {
    /// True if it is administratively up; it has a carrier once a port has one.
    pub up: bool,
    /// Its addresses with prefix lengths.
    pub addresses: Vec<IpNet>,
}

/// One change to the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BridgeChange {
    /// Create the bridge, with that hardware address if it is known.
    Create(Option<[u8; 6]>),
    /// Set the link up (`ip link set up`).
    Up,
    /// Add an address: the gateway of its pods.
    Address(IpNet),
    /// Attach a pod's link, in hairpin mode as the plugin does.
    Attach(String),
}

/// Parses a file of the CNI library's cache; `None` if it is not a pod of this network (`cachedInfo` in libcni/api.go:
/// `/var/lib/cni/results/<network>-<container>-<interface>`).
pub fn parse_attachment(text: &str) -> Option<Attachment> {
    let cached: Value = serde_json::from_str(text).ok()?;
    if at(&cached, &["networkName"]).as_str() != Some(NETWORK) {
        return None;
    }
    let links = at(&cached, &["result", "interfaces"]).as_array()?;
    let name = |link: &Value| at(link, &["name"]).as_str().map(str::to_owned);
    let on_node = |link: &&Value| at(link, &["sandbox"]).as_str().unwrap_or_default().is_empty();
    let (bridges, ports): (Vec<_>, Vec<_>) =
        links.iter().filter(on_node).partition(|link| name(link).as_deref() == Some(BRIDGE));
    let bridge_mac = bridges.first().and_then(|link| parse_mac(at(link, &["mac"]).as_str()?));
    Some(Attachment { port: ports.first().and_then(|link| name(link))?, bridge_mac })
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// The changes that restore the bridge for the node's pods. Without pods nothing is restored: the plugin creates the
/// bridge for the first one. Links that are attached to another bridge stay there.
pub fn plan_bridge(pod_cidrs: &[IpNet], observed: &ObservedBridge) -> Vec<BridgeChange> {
    if observed.ports.is_empty() {
        return Vec::new();
    }
    let mut changes = Vec::new();
    match &observed.link {
        None => changes.push(BridgeChange::Create(observed.mac)),
        Some(link) if !link.up => changes.push(BridgeChange::Up),
        Some(_) => {}
    }
    let present = observed.link.as_ref().map(|link| link.addresses.as_slice()).unwrap_or_default();
    let gateways = pod_cidrs.iter().filter_map(gateway_of).filter(|gateway| !present.contains(gateway));
    changes.extend(gateways.map(BridgeChange::Address));
    let detached = observed.ports.iter().filter(|(_, attached)| !attached);
    changes.extend(detached.map(|(port, _)| BridgeChange::Attach(port.clone())));
    changes
}

/// The first address of a range, which the `host-local` plugin uses as the gateway, with the range's prefix length.
fn gateway_of(cidr: &IpNet) -> Option<IpNet> {
    let first = match cidr.network() {
        IpAddr::V4(network) => IpAddr::V4(network.to_bits().checked_add(1)?.into()),
        IpAddr::V6(network) => IpAddr::V6(network.to_bits().checked_add(1)?.into()),
    };
    IpNet::new(first, cidr.prefix_len()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0xab, 1];

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn cached(network: &str) -> String {
        serde_json::json!({
            "kind": "cniCacheV1", "containerId": "c1", "ifName": "eth0", "networkName": network,
            "result": { "cniVersion": "1.0.0", "interfaces": [
                { "name": "cni0", "mac": "02:00:00:00:ab:01" },
                { "name": "veth1", "mac": "02:00:00:00:00:07" },
                { "name": "eth0", "mac": "02:00:00:00:00:08", "sandbox": "/var/run/netns/cni-1" },
            ] },
        })
        .to_string()
    }

    #[test]
    fn the_cache_of_the_cni_library_tells_the_links_of_pods() {
        let found = Attachment { port: "veth1".into(), bridge_mac: Some(MAC) };
        assert_eq!(parse_attachment(&cached("roost")), Some(found));
        for other in [cached("podman").as_str(), "", "{}", r#"{"networkName":"roost","result":{"interfaces":[]}}"#] {
            assert_eq!(parse_attachment(other), None, "{other}");
        }
        for mac in ["", "02:00", "02:00:00:00:00:zz", "02:00:00:00:00:00:00", "1ff:0:0:0:0:0"] {
            assert_eq!(parse_mac(mac), None, "{mac}");
        }
    }

    #[test]
    fn a_bridge_is_put_back_whole_for_the_pods_that_are_there() {
        let cidrs = nets(&["10.244.1.0/24", "fd01:1::/64"]);
        let gateways = nets(&["10.244.1.1/24", "fd01:1::1/64"]);
        let ports = vec![("veth1".to_owned(), false), ("veth2".to_owned(), true)];
        let gone = ObservedBridge { link: None, mac: Some(MAC), ports: ports.clone() };
        let addresses = gateways.iter().copied().map(BridgeChange::Address);
        let mut wanted = vec![BridgeChange::Create(Some(MAC))];
        wanted.extend(addresses);
        wanted.push(BridgeChange::Attach("veth1".into()));
        assert_eq!(plan_bridge(&cidrs, &gone), wanted);

        let link = |up, addresses| Some(BridgeLink { up, addresses });
        let down = ObservedBridge { link: link(false, nets(&["10.244.1.1/24"])), ports, ..gone.clone() };
        let wanted = [BridgeChange::Up, BridgeChange::Address(gateways[1]), BridgeChange::Attach("veth1".into())];
        assert_eq!(plan_bridge(&cidrs, &down), wanted);

        let sound = ObservedBridge { link: link(true, gateways), ports: vec![("veth1".into(), true)], mac: None };
        assert_eq!(plan_bridge(&cidrs, &sound), []);
        let without_pods = ObservedBridge { ports: Vec::new(), ..gone };
        assert_eq!(plan_bridge(&cidrs, &without_pods), []);
    }

    #[test]
    fn no_range_is_too_odd_for_a_gateway() {
        for (range, gateway) in [
            ("255.255.255.255/32", None),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", None),
            ("0.0.0.0/0", Some("0.0.0.1/0")),
        ] {
            assert_eq!(gateway_of(&range.parse().unwrap()), gateway.map(|text| text.parse().unwrap()), "{range}");
        }
    }
}
