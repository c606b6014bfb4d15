//! The nftables rule that masquerades traffic from pods to destinations outside the cluster.

use std::fmt::Write;

use ipnet::IpNet;

/// Name of our table in each address family.
pub const TABLE: &str = "roost-pod-network";

/// An nftables script that installs our table in one transaction, whatever its previous content.
///
/// Traffic that leaves the pod subnets is masqueraded, except multicast; traffic inside keeps its source address, which
/// network policies depend on.
pub fn render_ruleset(pod_subnets: &[IpNet]) -> String {
    let mut script = String::new();
    for (family, multicast) in [("ip", "224.0.0.0/4"), ("ip6", "ff00::/8")] {
        let subnets: Vec<String> = pod_subnets
            .iter()
            .filter(|net| net.addr().is_ipv4() == (family == "ip"))
            .map(|net| net.trunc().to_string())
            .collect();
        // `add` before `delete` makes the deletion succeed on the first run.
        let _ = writeln!(script, "add table {family} {TABLE}\ndelete table {family} {TABLE}");
        if subnets.is_empty() {
            continue;
        }
        let set = subnets.join(", ");
        let _ = writeln!(
            script,
            "table {family} {TABLE} {{\n\
             \tchain postrouting {{\n\
             \t\ttype nat hook postrouting priority srcnat; policy accept;\n\
             \t\t{family} saddr {{ {set} }} {family} daddr != {{ {set}, {multicast} }} masquerade\n\
             \t}}\n\
             }}"
        );
    }
    script
}

/// A script that removes our tables.
pub fn render_removal() -> String {
    render_ruleset(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_traffic_that_leaves_the_pod_subnets_is_masqueraded() {
        let script = render_ruleset(&["10.244.0.0/16".parse().unwrap()]);
        insta::assert_snapshot!(script, @r"
        add table ip roost-pod-network
        delete table ip roost-pod-network
        table ip roost-pod-network {
        	chain postrouting {
        		type nat hook postrouting priority srcnat; policy accept;
        		ip saddr { 10.244.0.0/16 } ip daddr != { 10.244.0.0/16, 224.0.0.0/4 } masquerade
        	}
        }
        add table ip6 roost-pod-network
        delete table ip6 roost-pod-network
        ");
    }

    #[test]
    fn removal_leaves_no_table() {
        assert!(!render_removal().contains("chain"));
        assert_eq!(render_removal().matches("delete table").count(), 2);
    }
}
