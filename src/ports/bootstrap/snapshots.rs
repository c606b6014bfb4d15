//! Files of etcd that are too large for `NodeFiles`, or are not text.

use std::io;
use std::path::{Path, PathBuf};

/// Why a snapshot or data of etcd cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EtcdFileError {
    /// It cannot be read or moved.
    #[error("{verb} {path}")]
    Io {
        /// The operation: `read`, `move`, …
        verb: &'static str,
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the system call.
        #[source]
        source: io::Error,
    },
    /// It is truncated, modified, or not a snapshot.
    #[error("{path} is not a complete etcd snapshot: its checksum does not match")]
    Broken {
        /// Path of the file.
        path: PathBuf,
    },
}

/// Snapshots and data directories of etcd.
pub trait EtcdFiles: Send + Sync {
    /// Reads a whole snapshot and verifies the checksum at its end (etcd appends SHA-256); returns its size in bytes.
    fn check_snapshot(&self, path: &Path) -> Result<u64, EtcdFileError>;
    /// Moves a file or directory within its file system, and returns when that is on disk.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), EtcdFileError>;
}
