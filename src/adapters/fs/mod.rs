//! Files and mounts of the node.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

pub mod atomic;
pub mod beneath;
pub mod block_mounts;
pub mod descent;
pub mod folder;
pub mod kept_version;
pub mod manifests;
#[cfg(all(test, feature = "node-tests"))]
pub mod mount_tests;
pub mod mounts;
pub mod name_files;
pub mod node_context;
pub mod node_files;
mod owner;
pub mod pod_files;
pub mod pull_records;
pub mod removal;
pub mod shutdown_record;
pub mod stop_notes;
pub mod tree;
pub mod user_namespaces;

use std::io;
use std::path::{Path, PathBuf};

/// A missing file counts as removed.
pub fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Paths in a directory; none if it cannot be read.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}
