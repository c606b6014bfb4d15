//! Manifest files, and news of their changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::core::model::ReadFile;

/// The place where manifests are: a directory (not its subdirectories) or one file.
#[async_trait]
pub trait ManifestFiles: Send {
    /// Reads every manifest, in the order of their names. A place that does not exist holds none.
    ///
    /// # Errors
    /// The place exists but cannot be listed; nothing is known then.
    fn read(&mut self) -> std::io::Result<Vec<ReadFile>>;
    /// Waits until something may have changed: a file, the directory, or a symbolic link on the way to either.
    async fn changed(&mut self);
    /// The manifests that were taken away since the last call, also those that are there again. Known once [`Self::changed`]
    /// has returned.
    fn take_removed(&mut self) -> BTreeSet<PathBuf>;
    /// Keeps the content of a good manifest for after a restart; an error is only worth a warning.
    fn keep(&self, path: &Path, content: &[u8]) -> std::io::Result<()>;
    /// The kept content.
    fn kept(&self, path: &Path) -> Option<Vec<u8>>;
    /// Drops the kept content of all files but these.
    fn forget_others(&self, paths: &[&Path]);
}
