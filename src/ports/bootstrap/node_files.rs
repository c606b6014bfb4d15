//! Files of the node as the bootstrapper writes them: few, small, and changed atomically.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// A folder.
    pub is_dir: bool,
    /// Permission bits.
    pub mode: u32,
    /// Whom it belongs to.
    pub owner: Owner,
    /// Last change of the content.
    pub modified: SystemTime,
}

/// Whom a file belongs to, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("{verb} {path}")]
pub struct FileError {
    /// `read`, `write`, …
    pub verb: &'static str,
    /// The path.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub source: io::Error,
}

/// Reads and writes.
pub trait NodeFiles: Send + Sync {
    /// What is at a path; `None` when nothing does.
    fn info(&self, path: &Path) -> Result<Option<FileInfo>, FileError>;
    /// The content of a text file; `None` when there is no such file.
    fn read(&self, path: &Path) -> Result<Option<String>, FileError>;
    /// Names in a folder; none of a folder that does not exist.
    fn list(&self, path: &Path) -> Result<Vec<PathBuf>, FileError>;
    /// Creates a folder with this mode, and its parents.
    fn ensure_dir(&self, path: &Path, mode: u32) -> Result<(), FileError>;
    /// Puts content in place with this mode atomically.
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), FileError>;
    /// Removes a file, if it is there.
    fn remove(&self, path: &Path) -> Result<(), FileError>;
    /// Unmounts what is mounted below the folder and removes all that is in it.
    fn empty_dir(&self, path: &Path) -> Result<(), FileError>;
    /// True when the folder and all that is in it belong to the owner, and when there is no such folder.
    fn belongs_to(&self, path: &Path, owner: Owner) -> Result<bool, FileError>;
    /// Gives the folder and all that is in it to the owner. Of a link in it the link itself, never what it leads to.
    fn give_to(&self, path: &Path, owner: Owner) -> Result<(), FileError>;
}
