//! The messages on an evicted pod, as upstream words them.

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::signal::Observations;
use super::threshold::Threshold;
use crate::core::model::totals::{container_request, pod_level_request};
use crate::core::model::usage::{ContainerUsage, PodUsage};

/// Message for a pod that is evicted because of a threshold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvictionNotice {
    /// `status.message`, and the event's.
    pub message: String,
    /// Annotations of the event, for programs (`pkg/kubelet/eviction/helpers.go`).
    pub annotations: BTreeMap<String, String>,
}

/// The message for a pod evicted because of a threshold. Without its usage, no container is named and there are no
/// annotations.
pub fn describe_eviction(
    threshold: &Threshold,
    observed: &Observations,
    pod: &Pod,
    usage: Option<&PodUsage>,
) -> EvictionNotice {
    let resource = threshold.signal.resource();
    let mut text = format!("The node was low on resource: {resource}. ");
    // Writing to a string cannot fail.
    if let Some(observation) = observed.get(&threshold.signal) {
        let quantity = threshold.value.of(observation.capacity);
        let (quantity, available) = (show_bytes(quantity), show_bytes(observation.available));
        let _ = write!(text, "Threshold quantity: {quantity}, available: {available}. ");
    }
    let mut annotations = BTreeMap::new();
    let Some(usage) = usage else { return EvictionNotice { message: text, annotations } };
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
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        line("Pod", name, used, bytes(request));
        annotations.insert("offending_pod".to_owned(), name.to_owned());
        annotations.insert("offending_pod_usage".to_owned(), show_bytes(used));
    }
    let (mut offenders, mut used_by_offenders) = (Vec::new(), Vec::new());
    for container in &usage.containers {
        let Some(spec) = spec_of(pod, &container.name) else { continue };
        let request = container_request(spec, resource).map_or(0, bytes);
        if let Some(used) = used_by(container, resource).filter(|used| *used > request) {
            line("Container", &container.name, used, request);
            offenders.push(container.name.as_str());
            used_by_offenders.push(show_bytes(used));
        }
    }
    annotations.insert("offending_containers".to_owned(), offenders.join(","));
    annotations.insert("offending_containers_usage".to_owned(), used_by_offenders.join(","));
    annotations.insert("starved_resource".to_owned(), resource.to_owned());
    EvictionNotice { message: text, annotations }
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

/// Bytes with the largest binary suffix that is exact, as Kubernetes prints quantities.
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
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::core::evict::{Amount, Signal};
    use crate::core::model::usage::{MemoryUsage, PodReference};

    #[test]
    fn programs_read_who_is_to_blame_from_annotations() {
        let threshold =
            |signal| Threshold { signal, value: Amount::Exact(1 << 20), grace: Duration::ZERO, minimum_reclaim: None };
        let memory = |request: &str| serde_json::json!({ "requests": { "memory": request } });
        let pod: Pod = serde_json::from_value(serde_json::json!({ "metadata": { "name": "p" }, "spec": {
            "resources": memory("64Mi"),
            "initContainers": [{ "name": "side", "resources": memory("10Mi") }],
            "containers": [{ "name": "hog", "resources": memory("10Mi") }, { "name": "thin", "resources": memory("1Gi") }],
        } }))
        .unwrap();
        let memory = |mebibytes: u64| MemoryUsage {
            time: Timestamp::UNIX_EPOCH,
            available_bytes: None,
            usage_bytes: None,
            working_set_bytes: Some(mebibytes << 20),
            rss_bytes: None,
            page_faults: None,
            major_page_faults: None,
            psi: None,
        };
        let of = |name: &str, mebibytes: u64| ContainerUsage {
            name: name.into(),
            start_time: Timestamp::UNIX_EPOCH,
            cpu: None,
            memory: Some(memory(mebibytes)),
            io: None,
            rootfs: None,
            logs: None,
            swap: None,
        };
        let usage = PodUsage {
            pod_ref: PodReference { name: "p".into(), namespace: "d".into(), uid: "u".into() },
            start_time: Timestamp::UNIX_EPOCH,
            containers: vec![of("hog", 250), of("thin", 20), of("side", 50), of("debugger", 900)],
            cpu: None,
            memory: Some(memory(320)),
            io: None,
            network: None,
            volumes: vec![],
            ephemeral_storage: None,
            processes: None,
            swap: None,
        };
        let told = describe_eviction(&threshold(Signal::Memory), &Observations::default(), &pod, Some(&usage));
        let pairs = |told: &EvictionNotice| {
            told.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(
            pairs(&told),
            [
                "offending_containers=hog,side",
                "offending_containers_usage=250Mi,50Mi",
                "offending_pod=p",
                "offending_pod_usage=320Mi",
                "starved_resource=memory",
            ]
        );
        // If nothing measures the signal, no container is named, but the resource is.
        let told = describe_eviction(&threshold(Signal::Pid), &Observations::default(), &pod, Some(&usage));
        assert_eq!(pairs(&told), ["offending_containers=", "offending_containers_usage=", "starved_resource=pids"]);
        let told = describe_eviction(&threshold(Signal::Memory), &Observations::default(), &pod, None);
        assert_eq!(pairs(&told), [""; 0]);
    }

    #[test]
    fn bytes_read_as_quantities() {
        for (bytes, text) in [(0, "0"), (1, "1"), (1024, "1Ki"), (1536, "1536"), (100 << 20, "100Mi"), (3 << 30, "3Gi")]
        {
            assert_eq!(show_bytes(bytes), text);
        }
    }
}
