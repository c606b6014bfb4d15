//! File operations that stay inside a directory whatever symbolic links it contains: pods write those directories.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2};
use rustix::io::Errno;

const STAY: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// Opens a directory owned by the node, as the root of the operations below.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A handle (`O_PATH`) of something inside `root`; links are followed as long as they stay inside.
pub fn open_beneath(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    Ok(openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), STAY)?)
}

/// Reads a file inside `root`, at most `limit` bytes; more is an error.
pub fn read_beneath(root: impl AsFd, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = openat2(root, path, flags, Mode::empty(), STAY)?;
    if FileType::from_raw_mode(fstat(&fd)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut content = Vec::new();
    File::from(fd).take(limit.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large"));
    }
    Ok(content)
}

/// Creates the missing directories of `path` inside `root`, each with `mode` regardless of the umask.
pub fn make_dirs_beneath(root: impl AsFd, path: &Path, mode: u32) -> io::Result<()> {
    let mut current = open_beneath(&root, Path::new("."))?;
    let mut reached = std::path::PathBuf::new();
    for part in path.components() {
        let Component::Normal(name) = part else {
            if matches!(part, Component::CurDir) {
                continue;
            }
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "path leads out of its directory"));
        };
        reached.push(name);
        // From the root each time, so that a link to elsewhere inside is followed and one to outside is not.
        current = match open_beneath(&root, &reached) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match mkdirat(&current, name, Mode::from_raw_mode(0o750)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = openat(&current, name, flags, Mode::empty())?;
                rustix::fs::fchmod(&made, Mode::from_raw_mode(mode & 0o7777))?;
                made
            }
            other => other?,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_out_of_the_directory_are_refused_and_links_inside_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, outside) = (dir.path().join("v"), dir.path().join("out"));
        fs::create_dir_all(volume.join("real")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "x").unwrap();
        fs::write(volume.join("real/f"), "inside").unwrap();
        symlink("real", volume.join("in")).unwrap();
        symlink(&outside, volume.join("abs")).unwrap();
        symlink("../out", volume.join("up")).unwrap();
        let root = open_root(&volume).unwrap();
        assert_eq!(read_beneath(&root, Path::new("in/f"), 100).unwrap(), b"inside");
        assert!(read_beneath(&root, Path::new("in/f"), 3).is_err());
        for path in ["abs/secret", "up/secret", "../out/secret", "/etc/passwd"] {
            assert!(open_beneath(&root, Path::new(path)).is_err(), "{path}");
            assert!(read_beneath(&root, Path::new(path), 100).is_err(), "{path}");
        }
        for path in ["abs/new", "up/new", "../new"] {
            assert!(make_dirs_beneath(&root, Path::new(path), 0o777).is_err(), "{path}");
        }
        assert!(!outside.join("new").exists());
    }

    #[test]
    fn missing_directories_get_the_mode_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let root = open_root(dir.path()).unwrap();
        make_dirs_beneath(&root, Path::new("a/./b"), 0o2777).unwrap();
        assert_eq!(fs::metadata(dir.path().join("a/b")).unwrap().permissions().mode() & 0o7777, 0o2777);
        make_dirs_beneath(&root, Path::new("a/b"), 0o700).unwrap();
    }
}
