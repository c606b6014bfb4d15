//! Pod-level and QoS cgroups.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;

use crate::core::model::PodUid;

/// Why a cgroup could not be made, changed or removed.
#[derive(Debug, thiserror::Error)]
#[error("cgroup {path}: {message}")]
pub struct CgroupError {
    /// The cgroup's path below the root.
    pub path: String,
    /// What the kernel or systemd said.
    pub message: String,
}

/// A pod's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodCgroup {
    /// What CRI wants as `cgroup_parent`: a slice name with the systemd driver, a path otherwise.
    pub parent: String,
}

/// The cgroup tree `kubepods` with one child per QoS class and pod (docs/contract.md, kubelet 3.4).
#[async_trait]
pub trait Cgroups: Send + Sync {
    /// Creates the pod's cgroup or brings its limits up to date. Idempotent.
    async fn ensure(&self, pod: &Pod) -> Result<PodCgroup, CgroupError>;
    /// Whether the pod's cgroup is there.
    async fn exists(&self, pod: &Pod) -> bool;
    /// Removes a pod's cgroup, after its processes ended or were killed. Not there is success.
    async fn remove(&self, uid: &PodUid) -> Result<(), CgroupError>;
    /// Gives the classes the CPU weight of the active pods, also where others have changed it. `all` means that these
    /// are all of them; else a class only gains. A failure is logged: it is done again within a minute.
    async fn weigh(&self, pods: &[Arc<Pod>], all: bool);
    /// Pods that have a cgroup on the node.
    async fn known_pods(&self) -> Vec<PodUid>;
}
