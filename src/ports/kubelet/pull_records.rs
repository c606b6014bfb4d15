//! Files that record which images were pulled with which credentials.

use async_trait::async_trait;

/// The kinds of record files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A pull that was started.
    Pulling,
    /// A pull that succeeded.
    Pulled,
}

/// Small files by kind and name. Writing is atomic; "not found" is success for removal.
#[async_trait]
pub trait PullRecords: Send + Sync {
    /// The content of a record; `None` if it does not exist.
    async fn read(&self, kind: RecordKind, name: &str) -> std::io::Result<Option<Vec<u8>>>;
    /// All records of a kind, by name.
    async fn list(&self, kind: RecordKind) -> std::io::Result<Vec<(String, Vec<u8>)>>;
    /// Writes a record, replacing an existing one.
    async fn write(&self, kind: RecordKind, name: &str, content: Vec<u8>) -> std::io::Result<()>;
    /// Removes a record, if it exists.
    async fn remove(&self, kind: RecordKind, name: &str) -> std::io::Result<()>;
}
