//! The record on disk of a driver's volume, in upstream's format: enough to remove it after a restart.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::{PLUGIN, record_of};
use crate::adapters::fs::atomic::write_if_changed;
use crate::adapters::fs::{entries, ignore_missing};

/// Lifecycle modes of volumes.
pub const EPHEMERAL: &str = "Ephemeral";
pub const PERSISTENT: &str = "Persistent";

/// The content of `vol_data.json`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    #[serde(default, rename = "attachmentID")]
    pub attachment_id: String,
    pub driver_name: String,
    #[serde(default)]
    pub node_name: String,
    #[serde(default, rename = "specVolID")]
    pub spec_vol_id: String,
    pub volume_handle: String,
    #[serde(default)]
    pub volume_lifecycle_mode: String,
}

impl Record {
    /// Upstream's name of an attachable volume (`util.GetUniqueVolumeName` of the CSI plugin).
    pub fn unique_name(&self) -> String {
        format!("kubernetes.io/csi/{}^{}", self.driver_name, self.volume_handle)
    }

    /// True if it is about that volume.
    pub fn is_of(&self, driver: &str, handle: &str) -> bool {
        self.driver_name == driver && self.volume_handle == handle
    }

    /// True if the volume outlives the pod.
    pub fn is_persistent(&self) -> bool {
        self.volume_lifecycle_mode != EPHEMERAL
    }

    /// Writes it to a directory, which is created.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        write_if_changed(&dir.join(FILE), &serde_json::to_vec(self)?, 0o600).map(drop)
    }

    /// Reads the record in a directory; `None` if there is none.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(dir.join(FILE)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes it with its directory.
    pub fn remove(dir: &Path) -> io::Result<()> {
        ignore_missing(fs::remove_file(dir.join(FILE)))?;
        ignore_missing(fs::remove_dir(dir))
    }

    /// True if a directory contains one.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }
}

const FILE: &str = "vol_data.json";

/// Directories of a pod that contain volumes, and whether those are block devices.
pub const KINDS: [(&str, bool); 2] = [("volumes", false), ("volumeDevices", true)];

/// Persistent volumes that pods of the node use: the path in the pod's directory, and the record.
pub fn in_pods(root: &Path) -> Vec<(PathBuf, Record)> {
    let mut found = Vec::new();
    for pod in entries(&root.join("pods")) {
        for (kind, block) in KINDS {
            for of_pod in entries(&pod.join(kind).join(PLUGIN)) {
                let record = Record::read(&record_of(root, &of_pod, block));
                found.extend(record.ok().flatten().map(|record| (of_pod, record)));
            }
        }
    }
    found.retain(|(_, record)| record.is_persistent());
    found
}
