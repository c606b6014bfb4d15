//! `fsGroup`: changes the group of a volume's content (upstream `pkg/volume/volume_linux.go`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RawMode, Stat, chownat, fstat, openat};

use crate::adapters::fs::tree::walk;
use crate::core::model::with_causes;

const READ_WRITE: RawMode = 0o660;
const READ_ONLY: RawMode = 0o440;
const SEARCH: RawMode = 0o110;
const SET_GID: RawMode = 0o2000;

/// The wanted group of a volume's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    pub group: u32,
    /// Do not change the content if the root directory matches (`OnRootMismatch`).
    pub only_on_root_mismatch: bool,
    /// True if containers cannot write to the volume.
    pub read_only: bool,
}

/// Gives everything in `root` to the group: readable and writable, and inherited by new files. Links are not followed,
/// and single files that cannot be changed are skipped, as upstream.
pub fn apply(root: &Path, ownership: Ownership) -> io::Result<()> {
    let handle = openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    if ownership.only_on_root_mismatch && fits(&handle, ownership)? {
        return Ok(());
    }
    change(&handle, ownership)
}

fn mask(ownership: Ownership) -> RawMode {
    if ownership.read_only { READ_ONLY } else { READ_WRITE }
}

fn fits(root: impl AsFd, ownership: Ownership) -> io::Result<bool> {
    let stat = fstat(root)?;
    let needed = mask(ownership) | SEARCH | SET_GID;
    Ok(stat.st_gid == ownership.group
        && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        && stat.st_mode & needed == needed)
}

fn change(handle: &OwnedFd, ownership: Ownership) -> io::Result<()> {
    let give = |entry: BorrowedFd<'_>, stat: &Stat| {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let bits = if kind == FileType::Directory { SEARCH | SET_GID } else { 0 } | mask(ownership);
        if let Err(error) = chownat(entry, "", None, Some(Gid::from_raw(ownership.group)), AtFlags::EMPTY_PATH) {
            tracing::warn!(error = with_causes(&error), "a file of a volume keeps its group");
        }
        if kind != FileType::Symlink {
            let path = format!("/proc/self/fd/{}", entry.as_raw_fd());
            let mode = Mode::from_raw_mode((stat.st_mode & 0o7777) | bits);
            if let Err(error) = rustix::fs::chmod(path, mode) {
                tracing::warn!(error = with_causes(&error), "a file of a volume keeps its mode");
            }
        }
        Ok(true)
    };
    walk(handle, &give).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn ours(read_only: bool, only_on_root_mismatch: bool) -> Ownership {
        Ownership { group: rustix::process::getgid().as_raw(), only_on_root_mismatch, read_only }
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn the_group_can_write_and_new_files_inherit_it() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, outside) = (dir.path().join("v"), dir.path().join("o"));
        fs::create_dir_all(volume.join("sub")).unwrap();
        fs::write(volume.join("sub/f"), "").unwrap();
        fs::write(&outside, "").unwrap();
        for path in [&volume.join("sub/f"), &outside] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        symlink(&outside, volume.join("link")).unwrap();
        apply(&volume, ours(false, false)).unwrap();
        assert_eq!(mode(&volume.join("sub/f")), 0o660);
        assert_eq!(mode(&volume.join("sub")) & 0o2770, 0o2770);
        assert_eq!(mode(&outside), 0o600);
    }

    #[test]
    fn a_fitting_root_saves_the_walk() {
        let dir = tempfile::tempdir().unwrap();
        apply(dir.path(), ours(false, true)).unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        apply(dir.path(), ours(false, true)).unwrap();
        assert_eq!(mode(&file), 0o600);
        apply(dir.path(), ours(true, false)).unwrap();
        assert_eq!(mode(&file), 0o640);
    }
}
