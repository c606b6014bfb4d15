//! A read-only view of the pods on the node for the server, statistics and metrics.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use crate::core::model::{ContainerId, ContainerKind, PodKey, PodUid, SandboxId};

/// The newest container record of a name in the runtime.
#[derive(Clone, Debug)]
pub struct ContainerView {
    /// Name of the container in the pod.
    pub name: String,
    /// The list of the spec that it is in.
    pub kind: ContainerKind,
    /// Runtime id of the container.
    pub id: ContainerId,
    /// Restart count of this record.
    pub attempt: u32,
    /// True if it is running.
    pub running: bool,
    /// Absolute path of the log file.
    pub log_path: String,
}

/// Stage of a pod, as `kubelet_working_pods` counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifecycle {
    /// It is starting or running.
    #[default]
    Sync,
    /// Its containers are being killed.
    Terminating,
    /// Nothing of it runs any more.
    Terminated,
    /// Its resources are released too: volumes, cgroup, sandboxes.
    Finished,
}

/// A pod in the kubelet's view.
#[derive(Clone, Debug, Default)]
pub struct PodView {
    /// The definition in force; for a static pod its own (with another uid than its mirror pod).
    pub pod: Arc<Pod>,
    /// True for a static pod.
    pub is_static: bool,
    /// For a static pod, the uid of its mirror pod; `None` until that exists.
    pub mirror_uid: Option<PodUid>,
    /// The status that was last derived, even if it could not be sent to the API server.
    pub status: Arc<PodStatus>,
    /// Id of the newest sandbox; `None` if there is none.
    pub sandbox: Option<SandboxId>,
    /// The newest and the previous record of each container, newest first.
    pub containers: Vec<ContainerView>,
    /// The last error of the pod's worker, for the local status.
    pub last_error: Option<String>,
    /// Stage of the pod on this node.
    pub lifecycle: Lifecycle,
    /// True if its source no longer lists it.
    pub dropped: bool,
}

/// Looks up pods; never blocks.
pub trait Pods: Send + Sync {
    /// The pod with this uid; for a static pod also with its mirror pod's uid.
    fn by_uid(&self, uid: &PodUid) -> Option<Arc<PodView>>;
    /// The pod with this namespace and name.
    fn by_key(&self, key: &PodKey) -> Option<Arc<PodView>>;
    /// All pods, in arbitrary order.
    fn list(&self) -> Vec<Arc<PodView>>;
    /// Stages of pods that no source has ever listed: their remains are being removed.
    fn unlisted(&self) -> Vec<Lifecycle> {
        Vec::new()
    }
}
