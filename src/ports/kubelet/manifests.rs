//! Manifest files, and notification of changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::core::model::ReadFile;

/// The location of manifests: a directory (without its subdirectories) or one file.
#[async_trait]
pub trait ManifestFiles: Send {
    /// Reads every manifest, ordered by name. A missing location has no manifests.
    ///
    /// # Errors
    /// The location exists but cannot be listed, so nothing is known.
    fn read(&mut self) -> std::io::Result<Vec<ReadFile>>;
    /// Waits until something may have changed: a file, the directory, or a symbolic link in the path of either.
    async fn changed(&mut self);
    /// The manifests that were removed since the last call, even if they exist again. Available after [`Self::changed`]
    /// returned.
    fn take_removed(&mut self) -> BTreeSet<PathBuf>;
    /// Stores the content of a valid manifest for the next restart; an error only deserves a warning.
    fn keep(&self, path: &Path, content: &[u8]) -> std::io::Result<()>;
    /// The stored content of a manifest; `None` if there is none.
    fn kept(&self, path: &Path) -> Option<Vec<u8>>;
    /// Removes the stored content of all files except these.
    fn forget_others(&self, paths: &[&Path]);
}
