//! Total requests and limits of a pod, and its quality-of-service class.
//!
//! Sources: component-helpers `resource/helpers.go` (with pod-level resources, KEP-2837, and sidecars, KEP-753) and
//! `pkg/apis/core/v1/helper/qos`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Amount;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Amount>;

/// Quality-of-service class of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QosClass {
    /// Requests equal limits for CPU and memory of every container.
    Guaranteed,
    /// Some requests or limits, but not those of Guaranteed.
    Burstable,
    /// No requests and no limits.
    BestEffort,
}

impl QosClass {
    /// The class as in `status.qosClass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

type Pick = fn(&ResourceRequirements) -> Option<&BTreeMap<String, Quantity>>;
const REQUESTS: Pick = |r| r.requests.as_ref();
const LIMITS: Pick = |r| r.limits.as_ref();

/// Total requests; including the pod's overhead if `with_overhead`.
pub fn pod_requests(pod: &Pod, with_overhead: bool) -> Amounts {
    let mut sum = aggregate(pod, REQUESTS);
    sum.extend(pod_level(pod, REQUESTS));
    if with_overhead {
        add(&mut sum, &overhead(pod));
    }
    sum
}

/// Total limits; the pod's overhead is added to limits that are not zero if `with_overhead`.
pub fn pod_limits(pod: &Pod, with_overhead: bool) -> Amounts {
    let mut sum = aggregate(pod, LIMITS);
    sum.extend(pod_level(pod, LIMITS));
    if with_overhead {
        let mut overhead = overhead(pod);
        overhead.retain(|name, _| sum.get(name).is_some_and(|limit| !limit.is_zero()));
        add(&mut sum, &overhead);
    }
    sum
}

/// True if every container, or the pod as a whole, limits this resource; otherwise the pod's cgroup has no limit.
pub fn limit_declared(pod: &Pod, resource: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    if pod_level(pod, LIMITS).get(resource).is_some_and(|a| !a.is_zero()) {
        return true;
    }
    let mut sidecars = Amount::ZERO;
    let init = spec.init_containers.iter().flatten().all(|c| {
        let own = container_amount(c, LIMITS, resource);
        let total = own.saturating_add(sidecars);
        if is_sidecar(c) {
            sidecars = total;
        }
        !total.is_zero()
    });
    init && spec.containers.iter().all(|c| !container_amount(c, LIMITS, resource).is_zero())
}

/// True if `spec.resources` sets a supported resource (CPU, memory, huge pages).
pub fn has_pod_level_resources(pod: &Pod) -> bool {
    !pod_level(pod, REQUESTS).is_empty() || !pod_level(pod, LIMITS).is_empty()
}

/// A request of `spec.resources`.
pub fn pod_level_request(pod: &Pod, resource: &str) -> Option<Amount> {
    pod_level(pod, REQUESTS).get(resource).copied()
}

/// A limit of `spec.resources`.
pub fn pod_level_limit(pod: &Pod, resource: &str) -> Option<Amount> {
    pod_level(pod, LIMITS).get(resource).copied()
}

/// A container's request of a resource; `None` when it is not set.
pub fn container_request(container: &Container, resource: &str) -> Option<Amount> {
    container.resources.as_ref().and_then(REQUESTS).and_then(|m| m.get(resource)).map(Amount::of)
}

/// A container's limit of a resource; `None` when it is not set.
pub fn container_limit(container: &Container, resource: &str) -> Option<Amount> {
    container.resources.as_ref().and_then(LIMITS).and_then(|m| m.get(resource)).map(Amount::of)
}

/// The pod's class: from its status when the API server has set it, else computed.
pub fn qos_class(pod: &Pod) -> QosClass {
    match pod.status.as_ref().and_then(|s| s.qos_class.as_deref()) {
        Some("Guaranteed") => QosClass::Guaranteed,
        Some("Burstable") => QosClass::Burstable,
        Some("BestEffort") => QosClass::BestEffort,
        _ => compute_qos_class(pod),
    }
}

fn compute_qos_class(pod: &Pod) -> QosClass {
    let Some(spec) = &pod.spec else { return QosClass::BestEffort };
    let (mut requests, mut limits, mut guaranteed) = (Amounts::new(), Amounts::new(), true);
    let mut count = |r: Option<&ResourceRequirements>, pod_level: bool| {
        let found = positive(r.and_then(LIMITS));
        let all = ["cpu", "memory"].iter().all(|name| found.contains_key(*name));
        if !(all || pod_level && found.is_empty()) {
            guaranteed = false;
        }
        add(&mut requests, &positive(r.and_then(REQUESTS)));
        add(&mut limits, &found);
    };
    if let Some(resources) = &spec.resources {
        count(Some(resources), true);
    } else {
        for c in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            count(c.resources.as_ref(), false);
        }
    }
    if requests.is_empty() && limits.is_empty() {
        QosClass::BestEffort
    } else if guaranteed && requests == limits {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

/// CPU and memory amounts above zero.
fn positive(list: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    let mut amounts = amounts(list);
    amounts.retain(|name, amount| matches!(name.as_str(), "cpu" | "memory") && *amount > Amount::ZERO);
    amounts
}

fn amounts(list: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    list.into_iter().flatten().map(|(name, q)| (name.clone(), Amount::of(q))).collect()
}

fn overhead(pod: &Pod) -> Amounts {
    amounts(pod.spec.as_ref().and_then(|s| s.overhead.as_ref()))
}

fn pod_level(pod: &Pod, pick: Pick) -> Amounts {
    let mut amounts = amounts(pod.spec.as_ref().and_then(|s| s.resources.as_ref()).and_then(pick));
    amounts.retain(|name, _| matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-"));
    amounts
}

fn container_amount(container: &Container, pick: Pick, resource: &str) -> Amount {
    let list = container.resources.as_ref().and_then(pick);
    list.and_then(|m| m.get(resource)).map(Amount::of).unwrap_or_default()
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Sum of the regular containers and sidecars, or the highest need during initialization if that is more.
fn aggregate(pod: &Pod, pick: Pick) -> Amounts {
    let Some(spec) = &pod.spec else { return Amounts::new() };
    let own = |c: &Container| amounts(c.resources.as_ref().and_then(pick));
    let mut sum = Amounts::new();
    for c in &spec.containers {
        add(&mut sum, &own(c));
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for c in spec.init_containers.iter().flatten() {
        let mut moment = own(c);
        if is_sidecar(c) {
            add(&mut sum, &moment);
        }
        add(&mut moment, &sidecars);
        if is_sidecar(c) {
            sidecars.clone_from(&moment);
        }
        raise(&mut peak, &moment);
    }
    raise(&mut sum, &peak);
    sum
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let entry = sum.entry(name.clone()).or_default();
        *entry = entry.saturating_add(*amount);
    }
}

fn raise(sum: &mut Amounts, least: &Amounts) {
    for (name, amount) in least {
        let entry = sum.entry(name.clone()).or_default();
        *entry = (*entry).max(*amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(json: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({ "spec": json })).expect("a pod")
    }

    #[test]
    fn requests_are_the_sum_or_the_peak_of_initialization() {
        let p = pod(serde_json::json!({
            "initContainers": [
                {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
                {"name": "big", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}}
            ],
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "500m"}}}],
            "overhead": {"cpu": "50m"}
        }));
        let requests = pod_requests(&p, true);
        assert_eq!(requests["cpu"].milli(), 2150);
        assert_eq!(requests["memory"].units(), 1 << 30);
        assert_eq!(pod_requests(&p, false)["cpu"].milli(), 2100);
    }

    #[test]
    fn pod_level_resources_replace_the_sum() {
        let p = pod(serde_json::json!({
            "resources": {"limits": {"cpu": "1", "example.com/x": "3"}, "requests": {"cpu": "1"}},
            "containers": [{"name": "a", "resources": {"limits": {"cpu": "4", "memory": "1Mi"}}}]
        }));
        let limits = pod_limits(&p, true);
        assert_eq!(limits["cpu"].milli(), 1000);
        assert!(!limits.contains_key("example.com/x"));
        assert!(limit_declared(&p, "cpu") && limit_declared(&p, "memory"));
    }

    #[test]
    fn one_container_without_limit_leaves_the_pod_without() {
        let p = pod(serde_json::json!({"containers": [
            {"name": "a", "resources": {"limits": {"memory": "1Mi"}}}, {"name": "b"}]}));
        assert!(!limit_declared(&p, "memory"));
    }

    #[test]
    fn classes_follow_upstream() {
        let with = |resources: serde_json::Value| {
            pod(serde_json::json!({"containers": [{"name": "a", "resources": resources}]}))
        };
        let both = serde_json::json!({"cpu": "1", "memory": "1Gi"});
        for (resources, class) in [
            (serde_json::json!({}), QosClass::BestEffort),
            (serde_json::json!({"requests": {"cpu": "0"}}), QosClass::BestEffort),
            (serde_json::json!({"limits": {"ephemeral-storage": "1Gi"}}), QosClass::BestEffort),
            (serde_json::json!({"requests": both, "limits": both}), QosClass::Guaranteed),
            (serde_json::json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}), QosClass::Burstable),
            (serde_json::json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": both}), QosClass::Burstable),
        ] {
            assert_eq!(qos_class(&with(resources.clone())), class, "{resources}");
        }
    }
}
