//! Cgroups of pods and QoS classes.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;

use crate::core::model::PodUid;

/// Why a cgroup could not be created, changed or removed.
#[derive(Debug, thiserror::Error)]
#[error("cgroup {path}: {message}")]
pub struct CgroupError {
    /// The cgroup's path below the root.
    pub path: String,
    /// Message of the kernel or systemd.
    pub message: String,
}

/// The cgroup of a pod, for its sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodCgroup {
    /// Value for CRI's `cgroup_parent`: a slice name with the systemd driver, a path otherwise.
    pub parent: String,
}

/// The cgroup tree `kubepods` with one child per QoS class and pod (docs/contract.md, kubelet 3.4).
#[async_trait]
pub trait Cgroups: Send + Sync {
    /// Creates the pod's cgroup or updates its limits. Idempotent.
    async fn ensure(&self, pod: &Pod) -> Result<PodCgroup, CgroupError>;
    /// True if the pod's cgroup exists.
    async fn exists(&self, pod: &Pod) -> bool;
    /// Removes a pod's cgroup, after its processes have exited or were killed. "Not found" is success.
    async fn remove(&self, uid: &PodUid) -> Result<(), CgroupError>;
    /// Sets the CPU weight of the classes from the active pods, even if others changed it. If `all` is false, there may
    /// be more pods, and weights are only raised. A failure is logged: it is repeated within a minute.
    async fn weigh(&self, pods: &[Arc<Pod>], all: bool);
    /// Pods that have a cgroup on the node.
    async fn known_pods(&self) -> Vec<PodUid>;
}
