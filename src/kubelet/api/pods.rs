//! The API's newest state of this node's pods: one copy, shared by the source, the reporter and the mirrors.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::broadcast;

use crate::core::manifest::host_image::expand_allowed;
use crate::core::manifest::mirror::is_mirror;
use crate::core::model::{PodKey, PodUid, key_of, uid_of};
use crate::ports::kubelet::PodChange;

/// How many changes may be queued for a slow reader before it has to read everything again.
const BACKLOG: usize = 512;

/// A pod in the API changed, appeared or was deleted; includes mirror pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiPodChange {
    pub uid: PodUid,
    pub key: PodKey,
    /// True for a mirror pod.
    pub mirror: bool,
}

/// The pods of this node, as the API has them.
pub struct ApiPodView {
    pods: Mutex<HashMap<PodKey, Arc<Pod>>>,
    listed: Mutex<bool>,
    changes: broadcast::Sender<ApiPodChange>,
    host_programs: Vec<PathBuf>,
}

impl Default for ApiPodView {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl ApiPodView {
    /// An empty view; its pods may run host programs from these folders.
    pub fn new(host_programs: Vec<PathBuf>) -> Self {
        let changes = broadcast::channel(BACKLOG).0;
        Self { pods: Mutex::default(), listed: Mutex::new(false), changes, host_programs }
    }

    /// The pod as it runs on this node.
    fn taken_in(&self, pod: Pod) -> Arc<Pod> {
        let expanded = if is_mirror(&pod) { None } else { expand_allowed(&pod, &self.host_programs) };
        Arc::new(expanded.unwrap_or(pod))
    }

    /// Applies a change from the watch; returns whether pods other than mirror pods changed.
    pub fn apply(&self, change: PodChange) -> bool {
        let mut changed = Vec::new();
        {
            let mut pods = self.lock();
            match change {
                PodChange::Listed(list) => {
                    let mut next = HashMap::with_capacity(list.len());
                    for pod in list {
                        let key = key_of(&pod);
                        let pod = match pods.remove(&key) {
                            Some(old) if same_version(&old, &pod) => old,
                            old => {
                                // A pod with another uid under the same name: the old one was deleted.
                                changed
                                    .extend(old.iter().filter(|old| uid_of(old) != uid_of(&pod)).map(|old| note(old)));
                                changed.push(note(&pod));
                                self.taken_in(pod)
                            }
                        };
                        next.insert(key, pod);
                    }
                    changed.extend(pods.values().map(|gone| note(gone)));
                    *pods = next;
                    *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = true;
                }
                PodChange::Applied(pod) => {
                    changed.push(note(&pod));
                    pods.insert(key_of(&pod), self.taken_in(*pod));
                }
                PodChange::Deleted(pod) => {
                    changed.push(note(&pod));
                    let key = key_of(&pod);
                    if pods.get(&key).is_some_and(|known| uid_of(known) == uid_of(&pod)) {
                        pods.remove(&key);
                    }
                }
            }
        }
        let ours = changed.iter().any(|change| !change.mirror);
        for change in changed {
            let _ = self.changes.send(change);
        }
        ours
    }

    /// Applies the server's response to a request of ours, unless the watch was faster.
    pub fn renew(&self, answer: &Arc<Pod>) {
        let version = |pod: &Pod| pod.metadata.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok());
        let mut pods = self.lock();
        if let Some(known) = pods.get_mut(&key_of(answer))
            && known.metadata.uid == answer.metadata.uid
            && version(known) < version(answer)
        {
            let mut pod = (**answer).clone();
            pod.metadata.managed_fields = None;
            *known = self.taken_in(pod);
        }
    }

    /// True once the first list was received.
    pub fn is_listed(&self) -> bool {
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pod of this namespace and name.
    pub fn by_key(&self, key: &PodKey) -> Option<Arc<Pod>> {
        self.lock().get(key).cloned()
    }

    /// All mirror pods, or all other pods.
    pub fn list(&self, mirrors: bool) -> Vec<Arc<Pod>> {
        self.lock().values().filter(|pod| is_mirror(pod) == mirrors).cloned().collect()
    }

    /// Receives all later changes.
    pub fn subscribe(&self) -> broadcast::Receiver<ApiPodChange> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PodKey, Arc<Pod>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn same_version(a: &Pod, b: &Pod) -> bool {
    a.metadata.uid == b.metadata.uid && a.metadata.resource_version == b.metadata.resource_version
}

fn note(pod: &Pod) -> ApiPodChange {
    ApiPodChange { uid: uid_of(pod), key: key_of(pod), mirror: is_mirror(pod) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, uid: &str, version: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.into());
        pod.metadata.namespace = Some("d".into());
        pod.metadata.uid = Some(uid.into());
        pod.metadata.resource_version = Some(version.into());
        pod
    }

    #[test]
    fn a_relist_tells_only_what_differs_and_keeps_arcs() {
        let view = ApiPodView::default();
        assert!(!view.is_listed());
        view.apply(PodChange::Listed(vec![pod("a", "1", "1"), pod("b", "2", "1")]));
        let a = view.by_key(&PodKey::new("d", "a")).expect("a");
        let mut changes = view.subscribe();
        assert!(view.apply(PodChange::Listed(vec![pod("a", "1", "1"), pod("c", "3", "1")])));
        assert!(Arc::ptr_eq(&a, &view.by_key(&PodKey::new("d", "a")).expect("a")));
        let mut told = vec![changes.try_recv().expect("one").uid, changes.try_recv().expect("two").uid];
        told.sort();
        assert_eq!(told, [PodUid::from("2"), PodUid::from("3")]);
    }

    #[test]
    fn a_late_deletion_of_an_older_uid_leaves_the_newer_pod() {
        let view = ApiPodView::default();
        view.apply(PodChange::Applied(Box::new(pod("a", "2", "5"))));
        view.apply(PodChange::Deleted(Box::new(pod("a", "1", "4"))));
        assert!(view.by_key(&PodKey::new("d", "a")).is_some());
    }
}
