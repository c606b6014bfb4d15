//! A manifest file as it was found.

use std::path::PathBuf;

/// Largest manifest that is read, as upstream's file source accepts.
pub const MAX_MANIFEST_BYTES: usize = 10 * 1024 * 1024;

/// Whether a file of that name is a manifest: every one that is not hidden, whatever it ends in
/// (`[^.]*` in upstream's pkg/kubelet/config/file.go).
pub fn is_manifest_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.')
}

/// One file as it was read just now.
#[derive(Clone, Debug)]
pub struct ReadFile {
    /// Its path.
    pub path: PathBuf,
    /// Its content, or why it could not be read.
    pub content: Result<Vec<u8>, String>,
}
