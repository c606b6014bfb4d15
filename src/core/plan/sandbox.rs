//! Whether the pod needs a new sandbox (upstream `PodSandboxChanged`).

use k8s_openapi::api::core::v1::Pod;

use crate::core::model::Observed;

/// True if the pod shares the node's network namespace.
pub fn is_host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false)
}

/// Attempt number of the sandbox to create; `None` if the newest one can be used.
pub fn sandbox_needed(pod: &Pod, observed: &Observed) -> Option<u32> {
    let Some(newest) = observed.sandbox() else { return Some(0) };
    let ready = observed.sandboxes.iter().filter(|s| s.ready).count();
    let unusable = ready > 1
        || !newest.ready
        || newest.host_network != is_host_network(pod)
        || (!newest.host_network && newest.ips.is_empty());
    unusable.then(|| newest.attempt.saturating_add(1))
}
