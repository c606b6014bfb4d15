//! Pods that exist in the runtime, on disk or in the cgroup tree although no source lists them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::ports::PodPorts;
use crate::core::model::{PodKey, PodUid, labels};
use crate::cri;
use crate::ports::node::RuntimeError;

/// Grace period in seconds of containers of unknown pods (as upstream).
const GRACE: i64 = 1;

/// Grace period in seconds of a static pod whose containers do not record theirs: the API's default.
const OWN_GRACE: i64 = 30;

/// What remains of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Orphan {
    pub uid: PodUid,
    pub namespace: String,
    pub name: String,
    /// True if it was a static pod.
    pub is_static: bool,
    /// The grace period in seconds of its spec, if its containers record it.
    pub grace: Option<i64>,
}

impl Orphan {
    /// Its namespace and name.
    pub fn key(&self) -> PodKey {
        PodKey::new(&self.namespace, &self.name)
    }

    /// Whether the runtime has it; else only the disk or the cgroup tree, which know no names.
    pub fn is_at_runtime(&self) -> bool {
        !self.name.is_empty()
    }

    /// A pod of which only the identity is known, enough to end it: at once, or with its own grace.
    pub fn pod(&self, gently: bool) -> Arc<Pod> {
        let grace = if gently { self.grace.unwrap_or(OWN_GRACE) } else { GRACE };
        Arc::new(Pod {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                uid: Some(self.uid.to_string()),
                deletion_grace_period_seconds: Some(grace),
                ..ObjectMeta::default()
            },
            ..Pod::default()
        })
    }
}

/// All of them, sorted; a part that cannot be read is skipped and found next time.
pub(super) async fn observe_orphans(ports: &PodPorts) -> Vec<Orphan> {
    let (sandboxes, containers, directories, cgroups, logged) = tokio::join!(
        ports.runtime.list_sandboxes(None),
        ports.runtime.list_containers(None),
        ports.volumes.known_pods(),
        ports.cgroups.known_pods(),
        ports.files.logged_pods(),
    );
    let mut found = at_runtime(sandboxes.unwrap_or_default(), containers.unwrap_or_default());
    // Before those of which only the uid is known: the name is needed for the logs.
    for (key, uid) in logged {
        let (namespace, name) = (key.namespace.to_string(), key.name.to_string());
        let orphan = || Orphan { uid: uid.clone(), namespace, name, is_static: false, grace: None };
        found.entry(uid.clone()).or_insert_with(orphan);
    }
    for uid in directories.into_iter().chain(cgroups) {
        let (namespace, name) = (String::new(), String::new());
        found.entry(uid.clone()).or_insert(Orphan { uid, namespace, name, is_static: false, grace: None });
    }
    found.into_values().collect()
}

/// The static pods in the runtime, of any kubelet.
pub(super) async fn observe_former_statics(ports: &PodPorts) -> Result<Vec<Orphan>, RuntimeError> {
    let runtime = &ports.runtime;
    let (sandboxes, containers) = tokio::try_join!(runtime.list_sandboxes(None), runtime.list_containers(None))?;
    Ok(at_runtime(sandboxes, containers).into_values().filter(|orphan| orphan.is_static).collect())
}

/// Pods derived from sandboxes and containers; the pod's grace period is the longest of its containers.
fn at_runtime(sandboxes: Vec<cri::PodSandbox>, containers: Vec<cri::Container>) -> BTreeMap<PodUid, Orphan> {
    let mut found: BTreeMap<PodUid, Orphan> = BTreeMap::new();
    let sandboxes = sandboxes.into_iter().map(|s| (s.labels, s.annotations));
    for (mut labels, annotations) in sandboxes.chain(containers.into_iter().map(|c| (c.labels, c.annotations))) {
        let Some(uid) = labels.remove(labels::POD_UID).filter(|uid| !uid.is_empty()) else { continue };
        let uid = PodUid::from(uid);
        let orphan = found.entry(uid.clone()).or_insert_with(|| Orphan {
            uid,
            namespace: labels.remove(labels::POD_NAMESPACE).unwrap_or_default(),
            name: labels.remove(labels::POD_NAME).unwrap_or_default(),
            is_static: false,
            grace: None,
        });
        let source = annotations.get(labels::CONFIG_SOURCE).map(String::as_str);
        orphan.is_static |= matches!(source, Some("file" | "http"));
        orphan.grace = orphan.grace.max(annotations.get(labels::TERMINATION_GRACE).and_then(|g| g.parse().ok()));
    }
    found
}
