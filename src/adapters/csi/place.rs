//! Paths of a driver's volume on the node, in upstream's layout (`pkg/volume/csi/csi_mounter.go`, `csi_block.go`).
//!
//! ```text
//! file system  pods/UID/volumes/kubernetes.io~csi/NAME/{vol_data.json,mount}
//!              plugins/kubernetes.io/csi/DRIVER/SHA256-OF-HANDLE/{vol_data.json,globalmount}
//! block        pods/UID/volumeDevices/kubernetes.io~csi/NAME -> the published device
//!              plugins/kubernetes.io/csi/volumeDevices/{NAME/data/vol_data.json,publish/NAME/UID,staging/NAME}
//! ```
//!
//! Upstream also pins a block device by a loop device, so that its number is not reused while a pod has it; here the
//! driver is trusted to keep it.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::layout::{DEVICES, PLUGINS, record_of};
use super::record::Record;
use crate::adapters::fs::{ignore_missing, mounts};

/// The paths of one volume for one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The volume in the pod's directory: a directory, or the link to the device.
    pub of_pod: PathBuf,
    /// Path that the driver publishes to.
    pub target: PathBuf,
    /// Directory of the record.
    pub data: PathBuf,
    /// Path that the driver stages to, once per node.
    pub staging: PathBuf,
    block: bool,
}

impl Place {
    /// Paths for the volume at `of_pod` (`<pod>/volumes/kubernetes.io~csi/NAME`, or below `volumeDevices`); `root` is
    /// `/var/lib/kubelet`.
    pub fn new(root: &Path, of_pod: &Path, block: bool, driver: &str, handle: &str) -> Self {
        let (data, of_pod) = (record_of(root, of_pod, block), of_pod.to_path_buf());
        if !block {
            // A driver's name is a DNS name; an invalid one must not become a path.
            let driver = driver.replace(['/', '\0'], "_");
            let staging = root.join(PLUGINS).join(driver.trim_start_matches('.')).join(sha256(handle));
            let target = of_pod.join("mount");
            return Self { target, data, staging: staging.join("globalmount"), of_pod, block };
        }
        let name = of_pod.file_name().unwrap_or_default();
        let uid = of_pod.ancestors().nth(3).and_then(Path::file_name).unwrap_or_default();
        let devices = root.join(DEVICES);
        let (target, staging) = (devices.join("publish").join(name).join(uid), devices.join("staging").join(name));
        Self { target, data, staging, of_pod, block }
    }

    /// True if the volume is published already, according to the disk.
    pub fn is_published(&self) -> io::Result<bool> {
        if self.block {
            use std::os::unix::fs::FileTypeExt;
            return Ok(fs::metadata(&self.of_pod).is_ok_and(|device| device.file_type().is_block_device()));
        }
        Ok(Record::is_in(&self.data) && mounts::is_mount_point(&self.target)?)
    }

    /// Writes the record before the volume is published, so that a kubelet that is killed meanwhile finds it again.
    pub fn note(&self, record: &Record) -> io::Result<()> {
        record.write(&self.data)?;
        if !self.block {
            return Ok(());
        }
        for path in [&self.target, &self.of_pod] {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
        }
        ignore_missing(fs::remove_file(&self.of_pod))?;
        std::os::unix::fs::symlink(&self.target, &self.of_pod)
    }

    /// Creates the directory for staging; that of a file system gets its own record.
    pub fn note_staging(&self, record: &Record) -> io::Result<()> {
        fs::create_dir_all(&self.staging)?;
        if self.block { Ok(()) } else { record.write(self.staging_data()) }
    }

    /// True if the volume may be staged.
    pub fn is_staged(&self) -> bool {
        if self.block { self.staging.exists() } else { Record::is_in(self.staging_data()) }
    }

    /// Removes the path that the driver published to; the pod's record is kept.
    pub fn remove_target(&self) -> io::Result<()> {
        if self.block {
            ignore_missing(fs::remove_file(&self.target))
        } else {
            ignore_missing(fs::remove_dir(&self.target))
        }
    }

    /// Removes the path that the driver staged to.
    pub fn remove_staging(&self) -> io::Result<()> {
        ignore_missing(fs::remove_dir(&self.staging))?;
        if self.block { Ok(()) } else { Record::remove(self.staging_data()) }
    }

    /// Removes the pod's record of the volume; if no other pod uses it (`last`), the other records of a block volume
    /// first.
    pub fn forget(&self, last: bool) -> io::Result<()> {
        if !self.block {
            return Record::remove(&self.data);
        }
        if last {
            self.target.parent().map_or(Ok(()), |folder| ignore_missing(fs::remove_dir(folder)))?;
            Record::remove(&self.data)?;
            self.data.parent().map_or(Ok(()), |folder| ignore_missing(fs::remove_dir(folder)))?;
        }
        ignore_missing(fs::remove_file(&self.of_pod))
    }

    fn staging_data(&self) -> &Path {
        self.staging.parent().unwrap_or(&self.staging)
    }
}

/// The digest by which upstream names volumes and attachments.
pub fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
