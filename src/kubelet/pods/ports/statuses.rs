//! Where derived pod statuses go.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use crate::core::model::PodUid;

/// Takes statuses for the API server; never blocks, the newest of a pod wins.
pub trait StatusSink: Send + Sync {
    /// Status of a pod as it is now. For a static pod the sink finds the mirror pod.
    fn publish(&self, pod: &Arc<Pod>, is_static: bool, status: &Arc<PodStatus>);
    /// Nothing of the pod is left on the node: an API pod with a deletionTimestamp may be deleted permanently, after its
    /// last status was sent.
    fn finished(&self, pod: &Arc<Pod>, is_static: bool);
    /// The pod is gone from its source; its status is forgotten.
    fn forget(&self, uid: &PodUid);
}
