//! Whether the pod fits: resources, and the scheduler's predicates about the node (scheduler `AdmissionCheck`).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerPort, Pod};

use super::affinity;
use super::facts::NodeFacts;
use crate::core::model::totals::{Amounts, pod_requests};
use crate::core::model::{Amount, ContainerKind, Rejection, containers_of};

/// An insufficient resource; milli-units for CPU, whole units for all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    pub(super) resource: String,
    pub(super) requested: i64,
    pub(super) used: i64,
    pub(super) capacity: i64,
}

impl Shortage {
    pub(super) fn missing(&self) -> i64 {
        self.requested.saturating_sub(self.capacity.saturating_sub(self.used))
    }

    pub(super) fn rejection(&self) -> Rejection {
        let Self { resource, requested, used, capacity } = self;
        Rejection {
            reason: format!("OutOf{resource}"),
            message: format!(
                "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
            ),
        }
    }
}

/// A request as the scheduler counts it.
pub(super) fn counted(resource: &str, amounts: &Amounts) -> i64 {
    let amount = amounts.get(resource).copied().unwrap_or(Amount::ZERO);
    if resource == "cpu" { amount.milli() } else { amount.units() }
}

/// Every resource that the node lacks for this pod, in upstream's order. A node whose allocatable resources are
/// unknown, since it has not reported them yet or has no API server, lacks nothing.
pub(super) fn shortages(pod: &Pod, active: &[Arc<Pod>], node: &NodeFacts) -> Vec<Shortage> {
    if node.allocatable.is_empty() {
        return Vec::new();
    }
    let mut short = Vec::new();
    let capacity = counted("pods", &node.allocatable);
    let used = i64::try_from(active.len()).unwrap_or(i64::MAX);
    if used >= capacity {
        short.push(Shortage { resource: "pods".into(), requested: 1, used, capacity });
    }
    let wanted = pod_requests(pod, true);
    let others: Vec<Amounts> = active.iter().map(|p| pod_requests(p, true)).collect();
    let first = ["cpu", "memory", "ephemeral-storage"];
    let rest = wanted.keys().map(String::as_str).filter(|name| !first.contains(name));
    for resource in first.into_iter().chain(rest) {
        // Extended resources that the node does not know are not counted here.
        if is_extended(resource) && !node.allocatable.contains_key(resource) {
            continue;
        }
        let requested = counted(resource, &wanted);
        let used = others.iter().map(|o| counted(resource, o)).fold(0i64, i64::saturating_add);
        let capacity = counted(resource, &node.allocatable);
        if requested > 0 && requested > capacity.saturating_sub(used) {
            short.push(Shortage { resource: resource.into(), requested, used, capacity });
        }
    }
    short
}

/// True for resources with a domain, such as `nvidia.com/gpu`.
fn is_extended(resource: &str) -> bool {
    resource.split_once('/').is_some_and(|(domain, _)| !domain.ends_with("kubernetes.io"))
}

/// The first failing predicate about the node itself.
pub(super) fn mismatch(pod: &Pod, is_static: bool, active: &[Arc<Pod>], node: &NodeFacts) -> Option<Rejection> {
    let named = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default();
    let (name, why) = if !affinity::matches(pod, node) {
        ("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    } else if !named.is_empty() && named != node.name {
        ("NodeName", "node(s) didn't match the requested node name")
    } else if !ports_are_free(pod, active) {
        ("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    } else if !is_static && !affinity::tolerates(pod, node) {
        ("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    } else {
        return None;
    };
    Some(Rejection { reason: name.into(), message: format!("Predicate {name} failed: {why}") })
}

fn ports_are_free(pod: &Pod, active: &[Arc<Pod>]) -> bool {
    // By port number: pods may have thousands, and each is compared with those of all other pods.
    let mut wanted: BTreeMap<Option<i32>, Vec<ContainerPort>> = BTreeMap::new();
    host_ports(pod).into_iter().for_each(|port| wanted.entry(port.host_port).or_default().push(port));
    let is_wanted =
        |taken: ContainerPort| wanted.get(&taken.host_port).is_some_and(|same| same.iter().any(|w| collide(w, &taken)));
    wanted.is_empty() || !active.iter().flat_map(|p| host_ports(p)).any(is_wanted)
}

fn host_ports(pod: &Pod) -> Vec<ContainerPort> {
    let lasting = |kind: &ContainerKind| matches!(kind, ContainerKind::Regular | ContainerKind::Sidecar);
    let containers = containers_of(pod).into_iter().filter(|(kind, _)| lasting(kind));
    containers.flat_map(|(_, c)| c.ports.unwrap_or_default()).filter(|p| p.host_port.is_some_and(|n| n > 0)).collect()
}

fn collide(a: &ContainerPort, b: &ContainerPort) -> bool {
    fn ip(port: &ContainerPort) -> &str {
        port.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0")
    }
    fn protocol(port: &ContainerPort) -> &str {
        port.protocol.as_deref().unwrap_or("TCP")
    }
    a.host_port == b.host_port
        && protocol(a) == protocol(b)
        && (ip(a) == ip(b) || ip(a) == "0.0.0.0" || ip(b) == "0.0.0.0")
}
