//! A manifest file as it was found.

use std::path::{Path, PathBuf};

use super::PodKey;

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

/// Where the kubelet says why it refuses a static pod, as `reason: message`; `root` is its folder.
pub fn refusal_file(root: &Path, key: &PodKey) -> PathBuf {
    root.join("refused-static-pods").join(format!("{}_{}", key.namespace, key.name))
}
