//! What an evicted pod's owner reads, in upstream's words.

use std::fmt::Write;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::signal::Observations;
use super::threshold::Threshold;
use crate::core::model::totals::{container_request, pod_level_request};
use crate::core::model::usage::{ContainerUsage, PodUsage};

/// `status.message` of a pod that goes because of a threshold.
pub fn describe_eviction(
    threshold: &Threshold,
    observed: &Observations,
    pod: &Pod,
    usage: Option<&PodUsage>,
) -> String {
    let resource = threshold.signal.resource();
    let mut text = format!("The node was low on resource: {resource}. ");
    // Writing to a string cannot fail.
    if let Some(observation) = observed.get(&threshold.signal) {
        let quantity = threshold.value.of(observation.capacity);
        let (quantity, available) = (show_bytes(quantity), show_bytes(observation.available));
        let _ = write!(text, "Threshold quantity: {quantity}, available: {available}. ");
    }
    let Some(usage) = usage else { return text };
    let mut line = |what: &str, name: &str, used: u64, request: u64| {
        let (used, request) = (show_bytes(used), show_bytes(request));
        let _ = write!(
            text,
            "{what} {name} was using {used}, request is {request}, has larger consumption of {resource}. "
        );
    };
    let bytes = |amount: crate::core::model::Amount| u64::try_from(amount.units()).unwrap_or(0);
    let pod_request = pod_level_request(pod, resource).filter(|_| resource == "memory");
    if let (Some(request), Some(used)) = (pod_request, usage.memory.as_ref().and_then(|m| m.working_set_bytes)) {
        line("Pod", pod.metadata.name.as_deref().unwrap_or_default(), used, bytes(request));
    }
    for container in &usage.containers {
        let Some(spec) = spec_of(pod, &container.name) else { continue };
        let request = container_request(spec, resource).map_or(0, bytes);
        match used_by(container, resource) {
            Some(used) if used > request => line("Container", &container.name, used, request),
            _ => {}
        }
    }
    text
}

fn spec_of<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == name)
}

fn used_by(container: &ContainerUsage, resource: &str) -> Option<u64> {
    match resource {
        "memory" => container.memory.as_ref()?.working_set_bytes,
        "ephemeral-storage" => {
            Some(container.rootfs.as_ref()?.used_bytes?.saturating_add(container.logs.as_ref()?.used_bytes?))
        }
        _ => None,
    }
}

/// Bytes with the largest binary suffix that loses nothing, as Kubernetes prints quantities.
pub fn show_bytes(bytes: u64) -> String {
    if bytes == 0 {
        return "0".into();
    }
    let mut left = bytes;
    for suffix in ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
        if !left.is_multiple_of(1024) || suffix == "Ei" {
            return format!("{left}{suffix}");
        }
        left /= 1024;
    }
    left.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_quantities() {
        for (bytes, text) in [(0, "0"), (1, "1"), (1024, "1Ki"), (1536, "1536"), (100 << 20, "100Mi"), (3 << 30, "3Gi")]
        {
            assert_eq!(show_bytes(bytes), text);
        }
    }
}
