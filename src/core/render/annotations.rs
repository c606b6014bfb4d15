//! Labels and annotations by which containers and sandboxes are recognized (upstream `kuberuntime/labels.go`).

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::{Container, Pod};

use super::container_hash;
use crate::core::model::{key_of, labels, uid_of};

/// Labels of a sandbox: those of the pod, and its identity.
pub fn sandbox_labels(pod: &Pod) -> HashMap<String, String> {
    let own = pod.metadata.labels.iter().flatten().map(|(k, v)| (k.clone(), v.clone()));
    own.chain(identity(pod)).collect()
}

/// Annotations of a sandbox: those of the pod.
pub fn sandbox_annotations(pod: &Pod) -> HashMap<String, String> {
    pod.metadata.annotations.iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Labels of a container: its identity and that of its pod.
pub fn container_labels(pod: &Pod, container: &Container) -> HashMap<String, String> {
    identity(pod).into_iter().chain([(labels::CONTAINER_NAME.to_owned(), container.name.clone())]).collect()
}

/// Annotations of a container, which suffice to kill it properly when its pod's definition is unknown.
pub fn container_annotations(
    pod: &Pod,
    container: &Container,
    attempt: u32,
    granted: &BTreeMap<String, String>,
) -> HashMap<String, String> {
    let mut all: HashMap<String, String> = granted.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    let mut set = |key: &str, value: String| _ = all.insert(key.to_owned(), value);
    set(labels::CONTAINER_HASH, container_hash(&container.name, container.image.as_deref().unwrap_or_default()));
    set(labels::RESTART_COUNT, attempt.to_string());
    set(labels::TERMINATION_MESSAGE_PATH, container.termination_message_path.clone().unwrap_or_default());
    set(labels::TERMINATION_MESSAGE_POLICY, container.termination_message_policy.clone().unwrap_or_default());
    if let Some(seconds) = pod.metadata.deletion_grace_period_seconds {
        set(labels::DELETION_GRACE, seconds.to_string());
    }
    if let Some(seconds) = pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds) {
        set(labels::TERMINATION_GRACE, seconds.to_string());
    }
    // Values of the API always serialize; otherwise the annotation is left out, as upstream.
    let hook = container.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref());
    if let Some(json) = hook.and_then(|h| serde_json::to_string(h).ok()) {
        set(labels::PRE_STOP_HANDLER, json);
    }
    let ports = container.ports.as_ref().filter(|p| !p.is_empty());
    if let Some(json) = ports.and_then(|p| serde_json::to_string(p).ok()) {
        set(labels::CONTAINER_PORTS, json);
    }
    all
}

fn identity(pod: &Pod) -> [(String, String); 3] {
    let key = key_of(pod);
    [
        (labels::POD_NAME.to_owned(), key.name.to_string()),
        (labels::POD_NAMESPACE.to_owned(), key.namespace.to_string()),
        (labels::POD_UID.to_owned(), uid_of(pod).to_string()),
    ]
}
