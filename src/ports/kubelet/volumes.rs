//! Volumes of pods on the node.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;

pub use crate::core::model::MountedVolume;
use crate::core::model::PodUid;

/// Why a volume could not be set up.
#[derive(Clone, Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {message}")]
pub struct VolumeError {
    /// Name of the volume in `spec.volumes`.
    pub volume: String,
    /// Message for the event `FailedMount`.
    pub message: String,
    /// True if waiting may help (an object does not exist yet).
    pub transient: bool,
    /// True if the limit of such volumes on the node is reached: the pod has to run elsewhere.
    pub attach_limit: bool,
}

/// Sets up and removes volumes. All methods are idempotent; existing mounts are recognized after a restart.
#[async_trait]
pub trait Volumes: Send + Sync {
    /// Sets up every volume that a container of the pod uses, and updates content volumes; keyed by
    /// `spec.volumes[].name`.
    async fn set_up(&self, pod: &Pod) -> Result<BTreeMap<String, MountedVolume>, Vec<VolumeError>>;
    /// Writes changed contents of configMap, secret, downwardAPI and projected volumes of a running pod.
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
    /// Unmounts and removes all volumes of a pod whose containers are gone. `Ok(true)` if nothing remains.
    async fn tear_down(&self, uid: &PodUid) -> Result<bool, Vec<VolumeError>>;
    /// Pods that have a directory on the node.
    async fn known_pods(&self) -> Vec<PodUid>;
}
