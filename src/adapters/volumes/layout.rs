//! Paths of pods' volumes on the node (docs/contract.md, kubelet 0); names from manifests stay a single component.

use std::path::{Path, PathBuf};

use crate::core::model::PodUid;

/// Directory names of the volume kinds.
pub mod plugin {
    pub const EMPTY_DIR: &str = "kubernetes.io~empty-dir";
    pub const CONFIG_MAP: &str = "kubernetes.io~configmap";
    pub const SECRET: &str = "kubernetes.io~secret";
    pub const DOWNWARD_API: &str = "kubernetes.io~downward-api";
    pub const PROJECTED: &str = "kubernetes.io~projected";
    /// A local persistent volume.
    pub const LOCAL: &str = "kubernetes.io~local-volume";
    pub const NFS: &str = "kubernetes.io~nfs";
    pub use crate::adapters::csi::PLUGIN as CSI;
}

/// The subject of work on a volume in [`Lanes`](crate::offload::Lanes).
pub fn subject(uid: &PodUid, volume: &str) -> String {
    format!("{uid}/{volume}")
}

/// The tree below the kubelet's root directory.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

/// A name that would lead out of its directory.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not usable as a file name")]
pub struct BadName(String);

fn plain(name: &str) -> Result<&str, BadName> {
    let bad = name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']);
    if bad { Err(BadName(name.to_owned())) } else { Ok(name) }
}

impl Layout {
    /// The tree below `/var/lib/kubelet`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// Directory of all pods.
    pub fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    /// Directory of one pod.
    pub fn pod(&self, uid: &PodUid) -> Result<PathBuf, BadName> {
        Ok(self.pods().join(plain(uid.as_str())?))
    }

    /// Directory or mount point of a volume.
    pub fn volume(&self, uid: &PodUid, plugin: &str, volume: &str) -> Result<PathBuf, BadName> {
        Ok(self.pod(uid)?.join("volumes").join(plugin).join(plain(volume)?))
    }

    /// Link to the device of a block volume.
    pub fn device(&self, uid: &PodUid, plugin: &str, volume: &str) -> Result<PathBuf, BadName> {
        Ok(self.pod(uid)?.join("volumeDevices").join(plugin).join(plain(volume)?))
    }

    /// Directory of the mark `ready` for an emptyDir; volumes that are built on one have the prefix `wrapped_`.
    pub fn ready(&self, uid: &PodUid, volume: &str) -> Result<PathBuf, BadName> {
        Ok(self.pod(uid)?.join("plugins").join(plugin::EMPTY_DIR).join(plain(volume)?))
    }

    /// Mount point of a sub-path.
    pub fn sub_path(&self, uid: &PodUid, volume: &str, container: &str, index: usize) -> Result<PathBuf, BadName> {
        let dir = self.pod(uid)?.join("volume-subpaths").join(plain(volume)?).join(plain(container)?);
        Ok(dir.join(index.to_string()))
    }
}
