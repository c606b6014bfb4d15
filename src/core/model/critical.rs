//! Pods on which the node itself depends (upstream `pkg/kubelet/types/pod_update.go`).

use k8s_openapi::api::core::v1::Pod;

use super::labels::{CONFIG_MIRROR, CONFIG_SOURCE};

/// Pods of this priority or higher are critical (`system-cluster-critical`).
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// True if the pod comes from a manifest rather than from the API server.
pub fn is_static(pod: &Pod) -> bool {
    annotation(pod, CONFIG_SOURCE).is_some_and(|source| source != "api")
}

/// True if the pod is never evicted and may preempt others: static pods, their mirror pods, and pods of system
/// priorities.
pub fn is_critical(pod: &Pod) -> bool {
    is_static(pod) || annotation(pod, CONFIG_MIRROR).is_some() || priority_of(pod) >= SYSTEM_CRITICAL
}

/// The pod's priority; 0 if it is not set.
pub fn priority_of(pod: &Pod) -> i32 {
    pod.spec.as_ref().and_then(|s| s.priority).unwrap_or(0)
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}
