//! A read-only view of the pods on the node for the server, statistics and metrics.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use crate::core::model::{ContainerId, ContainerKind, PodKey, PodUid, SandboxId};

/// One container record of the runtime, newest attempt of its name.
#[derive(Clone, Debug)]
pub struct ContainerView {
    /// Name in the pod.
    pub name: String,
    /// Kind of container.
    pub kind: ContainerKind,
    /// Runtime id.
    pub id: ContainerId,
    /// Restart count of this record.
    pub attempt: u32,
    /// Whether it runs now.
    pub running: bool,
    /// Log file, absolute.
    pub log_path: String,
}

/// Where a pod is on its way, as `kubelet_working_pods` counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifecycle {
    /// It starts or runs.
    #[default]
    Sync,
    /// Its containers are being ended.
    Terminating,
    /// Nothing of it runs any more.
    Terminated,
    /// What it held is given back too: volumes, cgroup, sandboxes.
    Finished,
}

/// A pod as the kubelet sees it now.
#[derive(Clone, Debug, Default)]
pub struct PodView {
    /// Definition in force; for a static pod the static one (its uid differs from the mirror's).
    pub pod: Arc<Pod>,
    /// Whether it is a static pod.
    pub is_static: bool,
    /// For a static pod, the uid of its mirror pod once published.
    pub mirror_uid: Option<PodUid>,
    /// Status as last derived (also when it could not be sent to the API server).
    pub status: Arc<PodStatus>,
    /// Newest sandbox.
    pub sandbox: Option<SandboxId>,
    /// Newest record of each container, and the one before it where there is one, newest first.
    pub containers: Vec<ContainerView>,
    /// The last error of the pod's worker, for local status.
    pub last_error: Option<String>,
    /// Where it is on its way.
    pub lifecycle: Lifecycle,
    /// Its source has dropped it.
    pub dropped: bool,
}

/// Looks pods up; never blocks.
pub trait Pods: Send + Sync {
    /// By uid, of a static pod also by its mirror's uid.
    fn by_uid(&self, uid: &PodUid) -> Option<Arc<PodView>>;
    /// By namespace and name.
    fn by_key(&self, key: &PodKey) -> Option<Arc<PodView>>;
    /// All pods, in no order.
    fn list(&self) -> Vec<Arc<PodView>>;
    /// Where those pods are that no source has ever listed: what the runtime or the disk had of them is being ended.
    fn unlisted(&self) -> Vec<Lifecycle> {
        Vec::new()
    }
}
