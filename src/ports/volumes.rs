//! Volumes of pods on the node.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;

use crate::core::model::PodUid;

/// Why a volume is not ready.
#[derive(Clone, Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {message}")]
pub struct VolumeError {
    /// Name in `spec.volumes`.
    pub volume: String,
    /// What went wrong, for the event `FailedMount`.
    pub message: String,
    /// Whether waiting may help (an object that does not exist yet).
    pub transient: bool,
}

/// A volume that is ready to be mounted into containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedVolume {
    /// Path on the node; empty for an image volume, which the runtime mounts.
    pub path: PathBuf,
    /// For an image volume: its reference and pull policy.
    pub image: Option<(String, Option<String>)>,
    /// The volume itself forbids writing.
    pub read_only: bool,
    /// Needs an SELinux relabel.
    pub selinux_relabel: bool,
    /// Groups that a persistent volume asks for (`pv.beta.kubernetes.io/gid`).
    pub supplemental_groups: Vec<i64>,
    /// The path is a block device for `volumeDevices`.
    pub block: bool,
}

/// Sets volumes up and takes them down. All methods are idempotent; what was mounted is found again after a restart.
#[async_trait]
pub trait Volumes: Send + Sync {
    /// Makes every volume of the pod ready, and refreshes content volumes; keyed by `spec.volumes[].name`.
    async fn set_up(&self, pod: &Pod) -> Result<BTreeMap<String, MountedVolume>, Vec<VolumeError>>;
    /// Writes changed contents of configMap, secret, downwardAPI, projected volumes of a running pod.
    async fn refresh(&self, pod: &Pod) -> Result<(), Vec<VolumeError>>;
    /// Resolves `subPath` of a mounted volume to a bind mount that no link can lead out of the volume.
    async fn sub_path(
        &self,
        pod: &Pod,
        container: &str,
        index: usize,
        volume: &MountedVolume,
        volume_name: &str,
        sub_path: &str,
    ) -> Result<PathBuf, VolumeError>;
    /// Unmounts and removes all of a pod whose containers are gone. `Ok(true)` when nothing is left.
    async fn tear_down(&self, uid: &PodUid) -> Result<bool, Vec<VolumeError>>;
    /// Pods that have a directory on the node.
    async fn known_pods(&self) -> Vec<PodUid>;
}
