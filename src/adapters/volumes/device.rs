//! Mounts the file system on a block device of the node; an empty device is formatted before.
//!
//! As upstream's `FormatAndMount` (`k8s.io/mount-utils`), with the system's tools: blkid, mkfs, fsck, mount. The device
//! is mounted for each pod, which is the same file system for the kernel, and is unmounted with the pod's other mounts.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::tool;
use crate::offload::Lanes;

/// Time limit of a tool: checking and formatting large disks takes long.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Upstream's default file system.
const DEFAULT: &str = "ext4";

/// The block device at a path, by its name without links; `None` if it is not a block device.
#[expect(clippy::disallowed_methods, reason = "for threads of offload::Lanes")]
pub fn device_at(path: &Path) -> io::Result<Option<PathBuf>> {
    use std::os::unix::fs::FileTypeExt;
    let named = |error: io::Error| io::Error::new(error.kind(), format!("local volume {}: {error}", path.display()));
    match fs::metadata(path).map_err(named)?.file_type().is_block_device() {
        true => fs::canonicalize(path).map(Some).map_err(named),
        false => Ok(None),
    }
}

/// A device and its mount point.
#[derive(Clone, Debug)]
pub struct Mount {
    pub device: PathBuf,
    /// Where to mount it.
    pub target: PathBuf,
    /// The file system; `None` for [`DEFAULT`].
    pub fs_type: Option<String>,
    /// `mountOptions` of the persistent volume.
    pub options: Vec<String>,
    /// True if it must not be formatted. The mount itself is made read-only by the caller: other pods may write.
    pub read_only: bool,
}

impl Mount {
    /// Mounts the device at a path where nothing is mounted. `subject` identifies the work on the disk.
    pub async fn format_and_mount(&self, lanes: &Lanes, subject: &str) -> io::Result<()> {
        let fs_type = self.fs_type.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT);
        // It becomes part of a program's name.
        if !fs_type.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("fsType {fs_type:?} is not a file system"),
            ));
        }
        let (device, target) = (self.device.clone(), self.target.clone());
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let prepare = move || fs::create_dir_all(target).and_then(|()| is_in_use(&device));
        if !lanes.io(subject, "probe device", prepare).await? {
            self.format(fs_type).await?;
        }
        let mut arguments: Vec<OsString> = vec!["-t".into(), fs_type.into()];
        if !self.options.is_empty() {
            arguments.extend(["-o".into(), self.options.join(",").into()]);
        }
        arguments.extend(["--".into(), self.device.clone().into(), self.target.clone().into()]);
        let output = tool::run("mount", arguments, PATIENCE).await?;
        if output.status.success() { Ok(()) } else { Err(tool::failure("mount", &output)) }
    }

    /// Formats an empty device, and checks one that has a file system.
    async fn format(&self, fs_type: &str) -> io::Result<()> {
        let device = || OsString::from(self.device.clone());
        let ask = ["-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export"].map(OsString::from);
        let output = tool::run("blkid", ask.into_iter().chain([device()]), PATIENCE).await?;
        match output.status.code() {
            Some(0) if self.read_only => Ok(()),
            Some(0) => check(&self.device).await,
            Some(2) if self.read_only => {
                let device = self.device.display();
                Err(io::Error::other(format!("cannot mount unformatted disk {device} of a volume that is read-only")))
            }
            Some(2) => {
                let options: &[&str] = match fs_type {
                    "ext4" | "ext3" => &["-F", "-m0"],
                    "xfs" => &["-f"],
                    _ => &[],
                };
                let (program, device_name) = (format!("mkfs.{fs_type}"), self.device.display());
                tracing::info!(device = %device_name, fs_type, "formatting an empty device");
                let arguments = options.iter().map(OsString::from).chain([device()]);
                let output = tool::run(&program, arguments, PATIENCE).await?;
                if output.status.success() { Ok(()) } else { Err(tool::failure(&program, &output)) }
            }
            _ => Err(tool::failure("blkid", &output)),
        }
    }
}

/// True if the device is in use exclusively, for example mounted: then it is neither checked nor formatted.
fn is_in_use(device: &Path) -> io::Result<bool> {
    match rustix::fs::open(device, OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => Ok(false),
        Err(Errno::BUSY) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Repairs what can be repaired without asking.
async fn check(device: &Path) -> io::Result<()> {
    /// Exit code if errors remain (fsck(8)).
    const UNCORRECTED: i32 = 4;
    let output = match tool::run("fsck", [OsString::from("-a"), device.into()], PATIENCE).await {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(device = %device.display(), "fsck is not installed; mounting the device unchecked");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    match output.status.code() {
        Some(0 | 1) => Ok(()),
        Some(UNCORRECTED) => Err(tool::failure("fsck", &output)),
        // For example no checker for this file system; mounting it will show.
        _ => {
            tracing::info!(device = %device.display(), error = %tool::failure("fsck", &output), "not checked");
            Ok(())
        }
    }
}
