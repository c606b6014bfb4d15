//! A pod's resolver configuration (upstream `pkg/kubelet/network/dns/dns.go`).

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Pod, PodDNSConfig};

use super::{NodeContext, Warning};
use crate::core::model::key_of;
use crate::cri;

const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_LENGTH: usize = 2048;
const MAX_NAME_LENGTH: usize = 253;

/// What a resolv.conf says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// `nameserver` lines.
    pub servers: Vec<String>,
    /// Last `search` line.
    pub searches: Vec<String>,
    /// All options, each once.
    pub options: Vec<String>,
}

/// Reads a resolv.conf; lines that say nothing are skipped.
pub fn parse_resolv_conf(text: &str) -> ResolvConf {
    let mut conf = ResolvConf::default();
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with('#')) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => conf.servers.extend(words.next().map(str::to_owned)),
            Some("search") => {
                let names = words.filter(|w| *w != ".").map(|w| w.strip_suffix('.').unwrap_or(w));
                conf.searches = names.map(str::to_owned).collect();
            }
            Some("options") => words.for_each(|w| set_option(&mut conf.options, w.to_owned())),
            _ => {}
        }
    }
    conf
}

/// The pod's resolver configuration, with what users should be told about it.
pub fn pod_dns(node: &NodeContext, pod: &Pod) -> (cri::DnsConfig, Vec<Warning>) {
    let mut warnings = Vec::new();
    let spec = pod.spec.as_ref();
    let host_network = spec.and_then(|s| s.host_network).unwrap_or_default();
    let policy = spec.and_then(|s| s.dns_policy.as_deref()).unwrap_or("ClusterFirst");
    let mut conf = match policy {
        "None" => ResolvConf::default(),
        "Default" => host(node),
        "ClusterFirst" if host_network => host(node),
        _ if !node.cluster_dns.is_empty() => cluster(node, pod),
        _ => {
            warnings.push(missing_cluster_dns(pod));
            host(node)
        }
    };
    if let Some(extra) = spec.and_then(|s| s.dns_config.as_ref()) {
        append(&mut conf, extra);
    }
    limit_servers(&mut conf.servers, &mut warnings);
    limit_searches(&mut conf.searches, &mut warnings);
    (cri::DnsConfig { servers: conf.servers, searches: conf.searches, options: conf.options }, warnings)
}

/// The node's configuration, or the loopback resolver when the node's is switched off.
fn host(node: &NodeContext) -> ResolvConf {
    if let Some(conf) = &node.resolv_conf {
        return conf.clone();
    }
    let mut servers: Vec<String> =
        node.host_ips.iter().map(|ip| if ip.is_ipv6() { "::1".to_owned() } else { "127.0.0.1".to_owned() }).collect();
    if servers.is_empty() {
        servers.push("127.0.0.1".to_owned());
    }
    ResolvConf { servers, searches: vec![".".to_owned()], options: Vec::new() }
}

fn cluster(node: &NodeContext, pod: &Pod) -> ResolvConf {
    let host_searches = node.resolv_conf.iter().flat_map(|c| c.searches.iter().cloned());
    let domain = &node.cluster_domain;
    let mut searches = match domain.as_str() {
        "" => Vec::new(),
        _ => vec![format!("{}.svc.{domain}", key_of(pod).namespace), format!("svc.{domain}"), domain.clone()],
    };
    searches.extend(host_searches);
    ResolvConf {
        servers: node.cluster_dns.iter().map(IpAddr::to_string).collect(),
        searches: without_duplicates(searches),
        options: vec!["ndots:5".to_owned()],
    }
}

fn append(conf: &mut ResolvConf, extra: &PodDNSConfig) {
    conf.servers.extend(extra.nameservers.iter().flatten().cloned());
    conf.servers = without_duplicates(std::mem::take(&mut conf.servers));
    conf.searches.extend(extra.searches.iter().flatten().cloned());
    conf.searches = without_duplicates(std::mem::take(&mut conf.searches));
    for option in extra.options.iter().flatten() {
        let name = option.name.clone().unwrap_or_default();
        let text = match option.value.as_deref() {
            None | Some("") => name,
            Some(value) => format!("{name}:{value}"),
        };
        set_option(&mut conf.options, text);
    }
}

/// Replaces the option of the same name, or adds it at the end.
fn set_option(options: &mut Vec<String>, option: String) {
    let name = |o: &str| o.split(':').next().unwrap_or_default().to_owned();
    match options.iter_mut().find(|o| name(o) == name(&option)) {
        Some(old) => *old = option,
        None => options.push(option),
    }
}

fn without_duplicates(list: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    list.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

fn limit_servers(servers: &mut Vec<String>, warnings: &mut Vec<Warning>) {
    if servers.len() > MAX_SERVERS {
        servers.truncate(MAX_SERVERS);
        warnings.push(forming(format!(
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {}",
            servers.join(" ")
        )));
    }
}

fn limit_searches(searches: &mut Vec<String>, warnings: &mut Vec<Warning>) {
    let before = searches.len();
    searches.truncate(MAX_SEARCHES);
    // glibc 2.28 aborts on a longer name.
    searches.retain(|s| s.len() <= MAX_NAME_LENGTH);
    while searches.join(" ").len() > MAX_SEARCH_LENGTH {
        searches.pop();
    }
    if searches.len() != before {
        warnings.push(forming(format!(
            "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {}",
            searches.join(" ")
        )));
    }
}

fn forming(message: String) -> Warning {
    Warning { reason: "DNSConfigForming", message }
}

fn missing_cluster_dns(pod: &Pod) -> Warning {
    let key = key_of(pod);
    let uid = crate::core::model::uid_of(pod);
    Warning {
        reason: "MissingClusterDNS",
        message: format!(
            "pod: \"{}_{}({uid})\". kubelet does not have ClusterDNS IP configured and cannot create Pod using \
             \"ClusterFirst\" policy. Falling back to \"Default\" policy.",
            key.name, key.namespace
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn node() -> NodeContext {
        NodeContext {
            cluster_dns: vec![IpAddr::from([10, 96, 0, 10])],
            cluster_domain: "cluster.local".into(),
            resolv_conf: Some(parse_resolv_conf(
                "nameserver 1.1.1.1\nsearch old\nsearch example.com. .\noptions edns0\n",
            )),
            ..NodeContext::defaults(Path::new("/k"))
        }
    }

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": spec}))
            .expect("a pod")
    }

    fn lines(spec: serde_json::Value) -> String {
        let (c, warnings) = pod_dns(&node(), &pod(spec));
        format!("{}|{}|{}|{}", c.servers.join(" "), c.searches.join(" "), c.options.join(" "), warnings.len())
    }

    #[test]
    fn policies_choose_the_base() {
        let cluster = "10.96.0.10|ns.svc.cluster.local svc.cluster.local cluster.local example.com|ndots:5|0";
        let host = "1.1.1.1|example.com|edns0|0";
        for (policy, host_network, expected) in [
            ("ClusterFirst", false, cluster),
            ("ClusterFirst", true, host),
            ("ClusterFirstWithHostNet", true, cluster),
            ("Default", false, host),
            ("None", false, "|||0"),
        ] {
            let spec = serde_json::json!({"containers": [], "dnsPolicy": policy, "hostNetwork": host_network});
            assert_eq!(lines(spec), expected, "{policy} {host_network}");
        }
    }

    #[test]
    fn dns_config_is_appended_without_duplicates() {
        let spec = serde_json::json!({"containers": [], "dnsPolicy": "ClusterFirst", "dnsConfig": {
            "nameservers": ["10.96.0.10", "2.2.2.2"], "searches": ["cluster.local", "x.y"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}]}});
        assert_eq!(
            lines(spec),
            "10.96.0.10 2.2.2.2|ns.svc.cluster.local svc.cluster.local cluster.local example.com x.y|ndots:2 rotate|0"
        );
    }

    #[test]
    fn limits_cut_and_warn() {
        let many: Vec<String> = (0..40).map(|i| format!("s{i}.example.com")).collect();
        let spec = serde_json::json!({"containers": [], "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"], "searches": many}});
        let (config, warnings) = pod_dns(&node(), &pod(spec));
        assert_eq!((config.servers.len(), config.searches.len(), warnings.len()), (3, 32, 2));
        let long: Vec<String> = (0..20).map(|i| format!("{i:0>240}")).collect();
        let spec = serde_json::json!({"containers": [], "dnsPolicy": "None", "dnsConfig": {"searches": long}});
        let (config, _) = pod_dns(&node(), &pod(spec));
        assert!(config.searches.join(" ").len() <= MAX_SEARCH_LENGTH && config.searches.len() == 8);
    }

    #[test]
    fn without_cluster_dns_the_node_is_asked_and_users_are_told() {
        let node = NodeContext { cluster_dns: Vec::new(), ..node() };
        let (config, warnings) = pod_dns(&node, &pod(serde_json::json!({"containers": []})));
        assert_eq!(config.servers, ["1.1.1.1"]);
        assert_eq!(warnings[0].reason, "MissingClusterDNS");
    }
}
