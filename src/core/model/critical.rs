//! Pods on which the node itself depends (upstream `pkg/kubelet/types/pod_update.go`).

use k8s_openapi::api::core::v1::Pod;

use super::labels::{CONFIG_MIRROR, CONFIG_SOURCE};

/// From this priority on a pod is critical (`system-cluster-critical`).
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// Whether the pod comes from a manifest rather than from the API server.
pub fn is_static(pod: &Pod) -> bool {
    annotation(pod, CONFIG_SOURCE).is_some_and(|source| source != "api")
}

/// Whether the pod is never evicted and may push others aside: static pods, their mirrors, and by priority.
pub fn is_critical(pod: &Pod) -> bool {
    is_static(pod) || annotation(pod, CONFIG_MIRROR).is_some() || priority_of(pod) >= SYSTEM_CRITICAL
}

/// The pod's priority; 0 when nobody has set it.
pub fn priority_of(pod: &Pod) -> i32 {
    pod.spec.as_ref().and_then(|s| s.priority).unwrap_or(0)
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}
