//! A directory of the kubelet, held by a descriptor: operations on names apply to this very directory.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, statat, unlinkat};
use rustix::io::Errno;

use super::beneath::open_root;
use super::descent::{Mounts, open_folder};
use super::removal;

/// An open directory, with its path for messages.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// The path with its parent resolved, but not the last name: that may be a link put there by somebody.
pub fn resolved(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok(std::fs::canonicalize(parent)?.join(name)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "no folder")),
    }
}

impl Folder {
    /// The directory at a path; `None` if it does not exist.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match open_root(path) {
            Ok(fd) => Ok(Some(Self {
                fd: rustix::fs::openat(&fd, c".", super::descent::flags(), rustix::fs::Mode::empty())?,
                path: path.to_owned(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A subdirectory, neither behind a link nor a mount point; `None` if it does not exist.
    ///
    /// # Errors
    /// `NotADirectory` for anything but a directory, and a message for a mount point.
    pub fn sub(&self, name: &OsString) -> io::Result<Option<Self>> {
        match open_folder(&self.fd, &CString::new(name.as_bytes())?, Mounts::Stay) {
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name) })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(removal::explain(error)),
        }
    }

    /// Names of its entries.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Removes a name with everything below it, see [`removal::remove_tree`].
    pub fn remove_tree(&self, name: &OsString) -> io::Result<()> {
        removal::remove_tree_at(&self.fd, name.as_bytes())
    }

    /// Removes an empty directory, if it exists.
    pub fn remove_folder(&self, name: &OsString) -> io::Result<()> {
        self.unlink(name, AtFlags::REMOVEDIR)
    }

    /// Removes a file or a link, if it exists.
    pub fn remove_file(&self, name: &OsString) -> io::Result<()> {
        self.unlink(name, AtFlags::empty())
    }

    /// Removes what was created as a mount point: an empty directory, an empty file, or a link. One with content is
    /// kept, because it was written while the mount was missing.
    pub fn remove_target(&self, name: &OsString) -> io::Result<()> {
        let stat = match statat(&self.fd, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.remove_folder(name),
            FileType::Symlink => self.remove_file(name),
            FileType::RegularFile if stat.st_size == 0 => self.remove_file(name),
            _ => Err(io::Error::other("not removed: not empty")),
        }
    }

    fn unlink(&self, name: &OsString, flags: AtFlags) -> io::Result<()> {
        match unlinkat(&self.fd, name.as_os_str(), flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(removal::explain(error)),
        }
    }
}
