//! A pod's resolver configuration (upstream `pkg/kubelet/network/dns/dns.go`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Pod, PodDNSConfig, PodDNSConfigOption};

use super::error::fail;
use super::{Error, NodeContext, ResolvConf, Warning};
use crate::core::model::key_of;
use crate::cri;

const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_LENGTH: usize = 2048;
const MAX_NAME_LENGTH: usize = 253;
/// Search domains of the cluster, which come before those of the node.
const CLUSTER_SEARCHES: usize = 3;

/// Parses a resolv.conf; unknown lines are skipped.
///
/// # Errors
/// A `nameserver` line without an address.
pub fn parse_resolv_conf(text: &str) -> Result<ResolvConf, Error> {
    let mut conf = ResolvConf::default();
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with('#')) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => match words.next() {
                Some(server) => conf.servers.push(server.to_owned()),
                None => {
                    return Err(fail!("encountered error while parsing resolv conf file: nameserver list is empty"));
                }
            },
            Some("search") => {
                let names = words.filter(|w| *w != ".").map(|w| w.strip_suffix('.').unwrap_or(w));
                conf.searches = names.map(str::to_owned).collect();
            }
            Some("options") => {
                conf.options = with_options(std::mem::take(&mut conf.options), words.map(str::to_owned));
            }
            _ => {}
        }
    }
    Ok(conf)
}

/// True if the node's resolver configuration is used: with the cluster's servers, its search domains.
pub fn uses_node_resolver(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.dns_policy.as_deref()) != Some("None")
}

/// A warning if the node's resolver configuration at `path` exceeds the limits even without a pod's additions
/// (`CheckLimitsForResolvConf`).
pub fn check_resolv_conf(conf: &ResolvConf, path: &str, cluster_domain: &str) -> Option<String> {
    let most = if cluster_domain.is_empty() { MAX_SEARCHES } else { MAX_SEARCHES.saturating_sub(CLUSTER_SEARCHES) };
    if conf.searches.len() > most {
        return Some(format!("Resolv.conf file '{path}' contains search line consisting of more than {most} domains!"));
    }
    if conf.searches.iter().any(|name| name.len() > MAX_NAME_LENGTH) {
        return Some(format!(
            "Resolv.conf file {path:?} contains a search path which length is more than allowed {MAX_NAME_LENGTH} chars!"
        ));
    }
    (conf.searches.join(" ").len() > MAX_SEARCH_LENGTH).then(|| {
        format!(
            "Resolv.conf file '{path}' contains search line which length is more than allowed {MAX_SEARCH_LENGTH} chars!"
        )
    })
}

/// The pod's resolver configuration, with warnings for users.
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

/// The node's configuration, or the loopback resolver if `resolvConf` is disabled.
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
    let text = |option: &PodDNSConfigOption| {
        let name = option.name.clone().unwrap_or_default();
        match option.value.as_deref() {
            None | Some("") => name,
            Some(value) => format!("{name}:{value}"),
        }
    };
    let own = std::mem::take(&mut conf.options);
    conf.options = with_options(own, extra.options.iter().flatten().map(text));
}

/// Each option once, with its last value; a pod may have thousands.
fn with_options(mut options: Vec<String>, more: impl Iterator<Item = String>) -> Vec<String> {
    let name = |option: &str| option.split(':').next().unwrap_or_default().to_owned();
    let mut places: BTreeMap<String, usize> = options.iter().enumerate().map(|(i, o)| (name(o), i)).collect();
    for option in more {
        match places.get(&name(&option)).and_then(|place| options.get_mut(*place)) {
            Some(old) => *old = option,
            None => {
                places.insert(name(&option), options.len());
                options.push(option);
            }
        }
    }
    options
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
    // glibc 2.28 aborts on longer names.
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
            resolv_conf: parse_resolv_conf("nameserver 1.1.1.1\nsearch old\nsearch example.com. .\noptions edns0\n")
                .ok(),
            ..NodeContext::defaults(Path::new("/k"))
        }
    }

    #[test]
    fn options_of_thousands_are_each_kept_once() {
        let options = (0..50_000).map(|i| format!("o{}:{i}", i % 40_000));
        let kept = with_options(vec!["ndots:5".into(), "o7:0".into()], options);
        assert_eq!((kept.len(), kept[0].as_str(), kept[1].as_str()), (40_001, "ndots:5", "o7:40007"));
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
    fn a_resolver_that_says_nothing_sensible_is_an_error_and_one_beyond_the_limits_is_told() {
        assert!(parse_resolv_conf("nameserver\n").is_err());
        assert_eq!(parse_resolv_conf("# empty\n\n"), Ok(ResolvConf::default()));
        let of = |count: usize, length: usize| ResolvConf {
            searches: vec!["s".repeat(length); count],
            ..ResolvConf::default()
        };
        let check = |count, length, domain| check_resolv_conf(&of(count, length), "/r", domain).unwrap_or_default();
        assert_eq!((check(32, 3, ""), check(29, 3, "cluster.local")), Default::default());
        let many = "Resolv.conf file '/r' contains search line consisting of more than 29 domains!";
        assert_eq!(check(30, 3, "cluster.local"), many);
        assert!(check(1, 254, "").contains("a search path which length is more than allowed 253 chars!"));
        assert!(check(20, 200, "").contains("contains search line which length is more than allowed 2048 chars!"));
    }

    #[test]
    fn without_cluster_dns_the_node_is_asked_and_users_are_told() {
        let node = NodeContext { cluster_dns: Vec::new(), ..node() };
        let (config, warnings) = pod_dns(&node, &pod(serde_json::json!({"containers": []})));
        assert_eq!(config.servers, ["1.1.1.1"]);
        assert_eq!(warnings[0].reason, "MissingClusterDNS");
    }
}
