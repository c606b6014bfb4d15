//! Files that remember what was pulled and with whose credentials.

use async_trait::async_trait;

/// The two kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A pull that was begun.
    Pulling,
    /// A pull that succeeded.
    Pulled,
}

/// Small files by kind and name. Writing is atomic; removing what does not exist is success.
#[async_trait]
pub trait PullRecords: Send + Sync {
    /// One file, if it is there.
    async fn read(&self, kind: RecordKind, name: &str) -> std::io::Result<Option<Vec<u8>>>;
    /// All files of a kind, by name.
    async fn list(&self, kind: RecordKind) -> std::io::Result<Vec<(String, Vec<u8>)>>;
    /// Writes a file.
    async fn write(&self, kind: RecordKind, name: &str, content: Vec<u8>) -> std::io::Result<()>;
    /// Removes a file.
    async fn remove(&self, kind: RecordKind, name: &str) -> std::io::Result<()>;
}
