//! Volumes of pods on the node.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;

pub use crate::core::model::MountedVolume;
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
    /// The node cannot take more volumes of this kind: the pod has to go elsewhere.
    pub attach_limit: bool,
}

/// Sets volumes up and takes them down. All methods are idempotent; what was mounted is found again after a restart.
#[async_trait]
pub trait Volumes: Send + Sync {
    /// Makes every volume ready that a container of the pod uses, and refreshes content volumes; keyed by `spec.volumes[].name`.
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
    /// Content of a file in a volume, for `fileKeyRef`; `path` cannot lead out of the volume. At most 1 MiB.
    async fn read_file(&self, volume: &MountedVolume, volume_name: &str, path: &str) -> Result<Vec<u8>, VolumeError>;
    /// Unmounts and removes all of a pod whose containers are gone. `Ok(true)` when nothing is left.
    async fn tear_down(&self, uid: &PodUid) -> Result<bool, Vec<VolumeError>>;
    /// Pods that have a directory on the node.
    async fn known_pods(&self) -> Vec<PodUid>;
}
