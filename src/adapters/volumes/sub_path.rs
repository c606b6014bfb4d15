//! Bind-mounts a path inside a volume to a separate mount point, so that no link in the volume can lead a container
//! elsewhere.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{FileType, fstat};

use crate::adapters::fs::{beneath, mounts};

/// Bind-mounts `sub_path` of the volume at `volume` to `target`. Missing directories are created with the volume's
/// mode, including sticky and set-group-ID bits. When a container restarts, it is mounted again if the path refers to
/// another file now.
pub fn bind(volume: &Path, sub_path: &Path, target: &Path) -> io::Result<()> {
    if fs::metadata(volume)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "the volume is a single file"));
    }
    let root = beneath::open_root(volume)?;
    let source = match beneath::open_beneath(&root, sub_path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mode = fs::metadata(volume)?.permissions().mode();
            beneath::make_dirs_beneath(&root, sub_path, mode & 0o3777)?;
            beneath::open_beneath(&root, sub_path)?
        }
        other => other?,
    };
    let wanted = fstat(&source)?;
    if mounts::is_mount_point(target)? {
        let found = rustix::fs::stat(target)?;
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino) {
            return Ok(());
        }
        mounts::unmount(target)?;
    }
    make_target(target, FileType::from_raw_mode(wanted.st_mode) == FileType::Directory)?;
    mounts::bind(&source, target)
}

/// Creates an empty directory or file as a mount point, of the kind that is mounted.
fn make_target(target: &Path, directory: bool) -> io::Result<()> {
    if let Ok(found) = fs::symlink_metadata(target) {
        if found.is_dir() == directory && !found.is_symlink() {
            return Ok(());
        }
        if found.is_file() && found.len() > 0 {
            return Err(io::Error::other("not replaced: a file with content is in the place of a mount"));
        }
        if found.is_dir() { fs::remove_dir(target)? } else { fs::remove_file(target)? }
    }
    if directory {
        return fs::create_dir_all(target);
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::File::create_new(target).map(drop)
}
