//! Values of `fieldRef`: those of the pod itself, and those that depend on the node.

use k8s_openapi::api::core::v1::Pod;

use super::error::fail;
use super::{Error, NodeContext};
use crate::core::model::field::field_value;

/// Value of a field path for a container's environment.
pub fn field_ref(node: &NodeContext, pod: &Pod, pod_ips: &[String], path: &str) -> Result<String, Error> {
    let hosts = || node.host_ips.iter().map(ToString::to_string);
    let ips = pod_addresses(node, pod, pod_ips);
    match path {
        "status.hostIP" => hosts().next().ok_or_else(|| fail!("the node has no address yet")),
        "status.hostIPs" => Ok(hosts().collect::<Vec<_>>().join(",")),
        "status.podIP" => Ok(ips.first().cloned().unwrap_or_default()),
        "status.podIPs" => Ok(ips.join(",")),
        _ => field_value(pod, path).ok_or_else(|| fail!("unsupported fieldPath: {path}")),
    }
}

/// The pod's addresses, the node's primary family first; for pods in the host's network those of the node.
fn pod_addresses(node: &NodeContext, pod: &Pod, pod_ips: &[String]) -> Vec<String> {
    let host_network = pod.spec.as_ref().and_then(|s| s.host_network).unwrap_or_default();
    if pod_ips.is_empty() && host_network {
        return node.host_ips.iter().map(ToString::to_string).collect();
    }
    let six_first = node.host_ips.first().is_some_and(std::net::IpAddr::is_ipv6);
    let mut ips = pod_ips.to_vec();
    ips.sort_by_key(|ip| ip.contains(':') != six_first);
    ips
}
