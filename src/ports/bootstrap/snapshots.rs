//! Files of etcd that are too large, or not text, for `NodeFiles`.

use std::io;
use std::path::{Path, PathBuf};

/// Why a snapshot or data of etcd cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EtcdFileError {
    /// It cannot be read or moved.
    #[error("{verb} {path}")]
    Io {
        /// `read`, `move`, …
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It is truncated, was changed, or is something else.
    #[error("{path} is not a complete etcd snapshot: its checksum does not match")]
    Broken {
        /// The file.
        path: PathBuf,
    },
}

/// Snapshots and data folders.
pub trait EtcdFiles: Send + Sync {
    /// Reads a snapshot whole and holds it against the checksum at its end (etcd appends SHA-256); returns its size.
    fn check_snapshot(&self, path: &Path) -> Result<u64, EtcdFileError>;
    /// Moves a file or folder within its file system, and returns when that is on disk.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), EtcdFileError>;
}
