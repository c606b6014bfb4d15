//! A manifest file as it was read.

use std::path::{Path, PathBuf};

use super::PodKey;

/// Largest manifest that is read, the limit of upstream's file source.
pub const MAX_MANIFEST_BYTES: usize = 10 * 1024 * 1024;

/// True if a file of that name is a manifest: every file that is not hidden, whatever its extension (`[^.]*` in
/// upstream's pkg/kubelet/config/file.go).
pub fn is_manifest_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.')
}

/// One file as it was read.
#[derive(Clone, Debug)]
pub struct ReadFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Its content, or why it could not be read.
    pub content: Result<Vec<u8>, String>,
}

/// Where the kubelet writes why it rejects a static pod, as `reason: message`; `root` is its root directory.
pub fn refusal_file(root: &Path, key: &PodKey) -> PathBuf {
    root.join("refused-static-pods").join(format!("{}_{}", key.namespace, key.name))
}
