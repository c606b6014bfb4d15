//! A folder of the kubelet's own, held by its descriptor: what is asked of its names is asked of this very folder.

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

/// An open folder, with its path for messages.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// A path whose folder is resolved and whose last name is not: that may be a link which somebody put there.
pub fn resolved(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok(std::fs::canonicalize(parent)?.join(name)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "no folder")),
    }
}

impl Folder {
    /// The folder at a path; `None` where there is none.
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

    /// The path as it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in this one, neither behind a link nor mounted there; `None` where there is none.
    ///
    /// # Errors
    /// `NotADirectory` for anything but a folder, and a sentence for a mount point.
    pub fn sub(&self, name: &OsString) -> io::Result<Option<Self>> {
        match open_folder(&self.fd, &CString::new(name.as_bytes())?, Mounts::Stay) {
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name) })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(removal::explain(error)),
        }
    }

    /// What is in it.
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

    /// Removes a name with all below it, see [`removal::remove_tree`].
    pub fn remove_tree(&self, name: &OsString) -> io::Result<()> {
        removal::remove_tree_at(&self.fd, name.as_bytes())
    }

    /// Removes an empty folder, if it is there.
    pub fn remove_folder(&self, name: &OsString) -> io::Result<()> {
        self.unlink(name, AtFlags::REMOVEDIR)
    }

    /// Removes a file or a link, if it is there.
    pub fn remove_file(&self, name: &OsString) -> io::Result<()> {
        self.unlink(name, AtFlags::empty())
    }

    /// Removes what was made to be mounted on: an empty folder, an empty file, or a link. What has content is kept, for
    /// it was written where a mount should have been.
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
