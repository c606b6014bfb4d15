//! Pods that the runtime, the disk or the cgroup tree has although no source lists them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::run::Shared;
use crate::core::model::{PodUid, labels};

/// Grace in seconds for containers of pods that nobody knows (as upstream).
const GRACE: i64 = 1;

/// What is left of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leftover {
    pub uid: PodUid,
    pub namespace: String,
    pub name: String,
}

impl Leftover {
    /// A pod of which only the identity is known, enough to end it.
    pub fn pod(&self) -> Arc<Pod> {
        Arc::new(Pod {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                uid: Some(self.uid.to_string()),
                deletion_grace_period_seconds: Some(GRACE),
                ..ObjectMeta::default()
            },
            ..Pod::default()
        })
    }
}

/// Everything that is there, sorted; a part that cannot be read is left out and found next time.
pub(super) async fn observe_leftovers(shared: &Shared) -> Vec<Leftover> {
    let ports = &shared.ports;
    let (sandboxes, containers, directories, cgroups, logged) = tokio::join!(
        ports.runtime.list_sandboxes(None),
        ports.runtime.list_containers(None),
        ports.volumes.known_pods(),
        ports.cgroups.known_pods(),
        ports.files.logged_pods(),
    );
    let sandboxes = sandboxes.unwrap_or_default().into_iter().map(|s| s.labels);
    let containers = containers.unwrap_or_default().into_iter().map(|c| c.labels);
    let mut found: BTreeMap<PodUid, Leftover> = BTreeMap::new();
    for mut labels in sandboxes.chain(containers) {
        let Some(uid) = labels.remove(labels::POD_UID).filter(|uid| !uid.is_empty()) else { continue };
        let uid = PodUid::from(uid);
        found.entry(uid.clone()).or_insert_with(|| Leftover {
            uid,
            namespace: labels.remove(labels::POD_NAMESPACE).unwrap_or_default(),
            name: labels.remove(labels::POD_NAME).unwrap_or_default(),
        });
    }
    // Before those of which only the uid is known: the name leads to the logs.
    for (key, uid) in logged {
        let leftover =
            || Leftover { uid: uid.clone(), namespace: key.namespace.to_string(), name: key.name.to_string() };
        found.entry(uid.clone()).or_insert_with(leftover);
    }
    for uid in directories.into_iter().chain(cgroups) {
        found.entry(uid.clone()).or_insert_with(|| Leftover { uid, namespace: String::new(), name: String::new() });
    }
    found.into_values().collect()
}
