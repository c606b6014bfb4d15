//! Commands of other parts of the kubelet to the pod table.

use async_trait::async_trait;

use crate::core::model::{PodKill, PodUid};

/// Terminates or wakes pods.
#[async_trait]
pub trait PodControl: Send + Sync {
    /// Terminates a pod and returns once none of its containers runs; `false` if there is no such pod.
    async fn kill(&self, uid: &PodUid, kill: PodKill) -> bool;
    /// Requests the removal of containers and sandboxes of all finished pods that are still listed. Returns before they
    /// are removed: the views show it.
    async fn remove_dead(&self);
    /// Makes the pod's worker reconcile now.
    fn wake(&self, uid: &PodUid);
}
