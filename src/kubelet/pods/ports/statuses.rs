//! Receiver of derived pod statuses.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use crate::core::model::PodUid;

/// Receives statuses for the API server; never blocks, only the newest status of a pod is sent.
pub trait StatusSink: Send + Sync {
    /// The current status of a pod. For a static pod, the sink finds the mirror pod.
    fn publish(&self, pod: &Arc<Pod>, is_static: bool, status: &Arc<PodStatus>);
    /// Nothing of the pod remains on the node: if it has a deletionTimestamp, it may be deleted from the API after its
    /// last status was sent.
    fn finished(&self, pod: &Arc<Pod>, is_static: bool);
    /// The pod's source no longer lists it; its status is dropped.
    fn forget(&self, uid: &PodUid);
}
