//! emptyDir on disk, in memory or in huge pages, and the directory of content volumes (upstream `volume/emptydir`).

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::ownership::{self, Ownership};
use super::source::Medium;
use crate::adapters::fs::mounts;

/// Sets the directory up once; later calls do not touch what containers wrote to it.
///
/// `ready_dir` contains a mark that outlives the kubelet. A tmpfs that was lost by a reboot is mounted again.
pub fn set_up(dir: &Path, ready_dir: &Path, medium: &Medium, ownership: Option<Ownership>) -> io::Result<()> {
    let mark = ready_dir.join("ready");
    let mounted = mounts::is_mount_point(dir)?;
    let in_place = match medium {
        Medium::Disk => dir.is_dir(),
        Medium::Memory(_) | Medium::HugePages(_) => mounted,
    };
    if in_place && mark.exists() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    if !mounted {
        // Regardless of the umask: containers of any user write to it.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777))?;
        match medium {
            Medium::Disk => {}
            Medium::Memory(size) => mounts::mount_tmpfs(dir, *size)?,
            Medium::HugePages(size) => mounts::mount_huge_pages(dir, *size)?,
        }
    }
    if let Some(ownership) = ownership {
        ownership::apply(dir, ownership)?;
    }
    fs::create_dir_all(ready_dir)?;
    fs::write(mark, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_open_to_all_and_prepared_only_once() {
        let root = tempfile::tempdir().unwrap();
        let (dir, ready) = (root.path().join("v"), root.path().join("r"));
        set_up(&dir, &ready, &Medium::Disk, None).unwrap();
        let mode = || fs::metadata(&dir).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(), 0o777);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        set_up(&dir, &ready, &Medium::Disk, None).unwrap();
        assert_eq!(mode(), 0o700);
        fs::remove_dir(&dir).unwrap();
        set_up(&dir, &ready, &Medium::Disk, None).unwrap();
        assert_eq!(mode(), 0o777);
    }
}
