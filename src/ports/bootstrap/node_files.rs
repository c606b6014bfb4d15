//! Files of the node, as the bootstrapper writes them: few, small, and replaced atomically.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Metadata of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// True for a folder.
    pub is_dir: bool,
    /// Permission bits, e.g. 0o600.
    pub mode: u32,
    /// User and group that it belongs to.
    pub owner: Owner,
    /// Time of the last change of its content.
    pub modified: SystemTime,
}

/// User and group of a file, by ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Numeric id of the user.
    pub user: u32,
    /// Numeric id of the group.
    pub group: u32,
}

/// Why a file operation failed.
#[derive(Debug, thiserror::Error)]
#[error("{verb} {path}")]
pub struct FileError {
    /// The operation: `read`, `write`, …
    pub verb: &'static str,
    /// Path of the file or folder.
    pub path: PathBuf,
    /// Error of the system call.
    #[source]
    pub source: io::Error,
}

/// Reads and changes files of the node.
pub trait NodeFiles: Send + Sync {
    /// Metadata of a path; `None` if it does not exist.
    fn info(&self, path: &Path) -> Result<Option<FileInfo>, FileError>;
    /// The content of a text file; `None` if it does not exist.
    fn read(&self, path: &Path) -> Result<Option<String>, FileError>;
    /// Paths in a folder; empty if it does not exist.
    fn list(&self, path: &Path) -> Result<Vec<PathBuf>, FileError>;
    /// Creates a folder with this mode, and missing parents.
    fn ensure_dir(&self, path: &Path, mode: u32) -> Result<(), FileError>;
    /// Writes a file with this mode, atomically.
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), FileError>;
    /// Removes a file; "not found" is success.
    fn remove(&self, path: &Path) -> Result<(), FileError>;
    /// Unmounts everything below the folder and removes its content.
    fn empty_dir(&self, path: &Path) -> Result<(), FileError>;
    /// True if the folder and everything in it belong to the owner, or if there is no such folder.
    fn belongs_to(&self, path: &Path, owner: Owner) -> Result<bool, FileError>;
    /// Changes the owner of the folder and everything in it. For a link in it the link itself, never its target.
    fn give_to(&self, path: &Path, owner: Owner) -> Result<(), FileError>;
}
