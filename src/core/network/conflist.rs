//! The CNI configuration of a node: bridge, host-local addresses, host ports.

use crate::core::model::json::put;
use ipnet::IpNet;
use serde_json::{Value, json};

/// File name in the CNI configuration directory. The runtime uses the first file by name, so a network that the user
/// adds later with a lower number wins.
pub const FILE_NAME: &str = "10-roost.conflist";

/// Name of the network, under which the runtime and the address plugin store its pods.
pub const NETWORK: &str = "roost";

/// The bridge that connects the node's pods.
pub const BRIDGE: &str = "cni0";

/// The configuration for a node whose pods have addresses of `pod_cidrs`.
///
/// It has no `ipMasq`: the plugin would also masquerade traffic to pods on other nodes; [`super::masquerade`] does it
/// only for destinations outside the cluster. Hairpin mode lets a pod reach itself through its Service.
pub fn render_conflist(pod_cidrs: &[IpNet], mtu: Option<u32>) -> Value {
    let ranges: Vec<Value> = pod_cidrs.iter().map(|cidr| json!([{ "subnet": cidr.to_string() }])).collect();
    let routes: Vec<Value> = pod_cidrs.iter().map(|cidr| json!({ "dst": default_route(cidr) })).collect();
    let mut bridge = json!({
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": true,
        // A node that joined again may have a different pod CIDR from the one the bridge was created for.
        "forceAddress": true,
        "ipMasq": false,
        "hairpinMode": true,
        "ipam": { "type": "host-local", "ranges": ranges, "routes": routes },
    });
    if let Some(mtu) = mtu {
        put(&mut bridge, &["mtu"], mtu);
    }
    json!({
        "cniVersion": "1.0.0",
        "name": NETWORK,
        "plugins": [bridge, { "type": "portmap", "capabilities": { "portMappings": true } }],
    })
}

fn default_route(cidr: &IpNet) -> &'static str {
    match cidr {
        IpNet::V4(_) => "0.0.0.0/0",
        IpNet::V6(_) => "::/0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_range_and_default_route() {
        let cidrs = ["10.244.1.0/24".parse().unwrap(), "fd01:1::/64".parse().unwrap()];
        let bridge = &render_conflist(&cidrs, Some(1450))["plugins"][0];
        assert_eq!(bridge["mtu"], 1450);
        assert_eq!(
            bridge["ipam"],
            json!({
                "type": "host-local",
                "ranges": [[{ "subnet": "10.244.1.0/24" }], [{ "subnet": "fd01:1::/64" }]],
                "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
            })
        );
    }

    #[test]
    fn pod_addresses_stay_visible_between_nodes() {
        let rendered = render_conflist(&["10.244.1.0/24".parse().unwrap()], None);
        assert_eq!(rendered["plugins"][0]["ipMasq"], false);
        assert_eq!(rendered["plugins"][0]["hairpinMode"], true);
        assert!(rendered["plugins"][0].get("mtu").is_none());
    }
}
