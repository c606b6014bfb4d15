//! Host and pod addresses.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{HostIP, PodIP, PodStatus};

use super::inputs::Inputs;
use super::lists::some;
use crate::core::plan::is_host_network;

/// Sets `hostIP(s)` and `podIP(s)`; pod addresses are kept after the sandbox stopped.
pub(super) fn fill(inputs: &Inputs<'_>, status: &mut PodStatus) {
    let hosts = inputs.host_ips;
    status.host_ip = hosts.first().map(ToString::to_string).or_else(|| inputs.previous.host_ip.clone());
    let all: Vec<_> = hosts.iter().take(2).map(|ip| HostIP { ip: ip.to_string() }).collect();
    status.host_ips = if all.is_empty() { inputs.previous.host_ips.clone() } else { Some(all) };

    let known = inputs.previous.pod_ips.clone().unwrap_or_default();
    let ips = if is_host_network(inputs.pod) {
        // Addresses are kept once set; only a second family may be added.
        let mut ips = known;
        let other = |ip: &IpAddr, first: &PodIP| first.ip.parse::<IpAddr>().is_ok_and(|f| f.is_ipv4() != ip.is_ipv4());
        if ips.is_empty() {
            ips.extend(hosts.first().map(|ip| PodIP { ip: ip.to_string() }));
        }
        if let [first] = ips.as_slice() {
            let second = hosts.get(1).filter(|ip| other(ip, first)).map(|ip| PodIP { ip: ip.to_string() });
            ips.extend(second);
        }
        ips
    } else {
        let sandbox = inputs.observed.sandbox().filter(|s| s.ready);
        let now = sandbox.map(|s| sort_pod_ips(&s.ips, hosts)).unwrap_or_default();
        if now.is_empty() { known } else { now.into_iter().map(|ip| PodIP { ip }).collect() }
    };
    status.pod_ip = ips.first().map(|ip| ip.ip.clone());
    status.pod_ips = some(ips);
}

/// The first address of the node's primary family, then the first of the other (upstream `sortPodIPs`).
pub fn sort_pod_ips(ips: &[String], hosts: &[IpAddr]) -> Vec<String> {
    let primary_v4 = hosts.first().is_none_or(IpAddr::is_ipv4);
    let parsed: Vec<IpAddr> = ips.iter().filter_map(|ip| ip.parse().ok()).collect();
    let first = parsed.iter().find(|ip| ip.is_ipv4() == primary_v4);
    let second = parsed.iter().find(|ip| ip.is_ipv4() != primary_v4);
    first.into_iter().chain(second).map(ToString::to_string).collect()
}
