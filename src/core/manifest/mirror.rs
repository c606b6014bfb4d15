//! The mirror pod: the API object that represents a static pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::core::model::labels::{CONFIG_HASH, CONFIG_MIRROR};

/// True if an API pod is a mirror pod.
pub fn is_mirror(pod: &Pod) -> bool {
    annotation(pod, CONFIG_MIRROR).is_some()
}

/// The hash of the static pod: in a mirror pod that of the represented one, in a static pod its own.
pub fn hash_of(pod: &Pod) -> Option<&str> {
    annotation(pod, CONFIG_MIRROR).or_else(|| annotation(pod, CONFIG_HASH))
}

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The mirror pod to create for a static pod. NodeRestriction requires exactly one owner: the node, by its uid.
pub fn derive_mirror(pod: &Pod, node_name: &str, node_uid: &str) -> Pod {
    let mut annotations: BTreeMap<String, String> = pod.metadata.annotations.clone().unwrap_or_default();
    let hash = annotations.get(CONFIG_HASH).cloned().unwrap_or_default();
    annotations.insert(CONFIG_MIRROR.into(), hash);
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: node_name.into(),
        uid: node_uid.into(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    Pod {
        metadata: ObjectMeta {
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            labels: pod.metadata.labels.clone(),
            annotations: Some(annotations),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: pod.spec.clone().map(|spec| PodSpec { priority: None, ..spec }),
        status: None,
    }
}

/// What to do about one mirror pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorAction {
    /// Nothing: it is up to date, or must stay for now.
    Keep,
    /// Create it, as [`derive_mirror`] derives it.
    Create,
    /// Delete it with grace period 0, if it still has this uid; it is decided again afterwards.
    Delete(String),
}

/// Decides about one full name. `wanted` is the static pod, `found` the mirror pod of that name. `ending` is true while
/// another static pod of that name terminates: its mirror pod is kept to show its status until then (upstream handles
/// mirror pods when it syncs the wanted pod, which waits until then).
pub fn plan_mirror(wanted: Option<&Pod>, found: Option<&Pod>, ending: bool) -> MirrorAction {
    let delete = |found: &Pod| MirrorAction::Delete(found.metadata.uid.clone().unwrap_or_default());
    match (wanted, found) {
        _ if ending => MirrorAction::Keep,
        (None, None) => MirrorAction::Keep,
        (None, Some(found)) => delete(found),
        (Some(_), None) => MirrorAction::Create,
        (Some(wanted), Some(found)) => {
            let current = hash_of(wanted) == annotation(found, CONFIG_MIRROR);
            if current && found.metadata.deletion_timestamp.is_none() { MirrorAction::Keep } else { delete(found) }
        }
    }
}
