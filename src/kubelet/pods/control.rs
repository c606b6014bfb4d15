//! How the rest of the kubelet terminates or wakes pods.

use async_trait::async_trait;

use crate::core::model::{PodKill, PodUid};

/// Orders to the pod table.
#[async_trait]
pub trait PodControl: Send + Sync {
    /// Ends a pod and returns once none of its containers runs; `false` when no such pod is known.
    async fn kill(&self, uid: &PodUid, kill: PodKill) -> bool;
    /// Has the containers and sandboxes of all pods removed that are finished, though their sources still list them. Returns
    /// before they are gone: the views show it.
    async fn remove_dead(&self);
    /// Makes the pod's worker look again now.
    fn wake(&self, uid: &PodUid);
}
