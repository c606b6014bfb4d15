//! Pull records below `image_manager/` in the kubelet's root directory, where upstream stores them too.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::atomic::write_if_changed;
use crate::ports::kubelet::{PullRecords, RecordKind};

/// Records in a directory with mode 0700.
#[derive(Clone, Debug)]
pub struct RecordFiles {
    root: PathBuf,
}

impl RecordFiles {
    /// Records of the kubelet with this root directory.
    pub fn new(kubelet_root: &Path) -> Self {
        Self { root: kubelet_root.join("image_manager") }
    }

    fn directory(&self, kind: RecordKind) -> PathBuf {
        self.root.join(match kind {
            RecordKind::Pulling => "pulling",
            RecordKind::Pulled => "pulled",
        })
    }
}

fn missing_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl PullRecords for RecordFiles {
    async fn read(&self, kind: RecordKind, name: &str) -> io::Result<Option<Vec<u8>>> {
        missing_is_none(tokio::fs::read(self.directory(kind).join(name)).await)
    }

    async fn list(&self, kind: RecordKind) -> io::Result<Vec<(String, Vec<u8>)>> {
        let directory = self.directory(kind);
        let Some(mut entries) = missing_is_none(tokio::fs::read_dir(&directory).await)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with("sha256-") || name.ends_with(".tmp") {
                continue;
            }
            if let Some(content) = self.read(kind, &name).await? {
                found.push((name, content));
            }
        }
        found.sort();
        Ok(found)
    }

    async fn write(&self, kind: RecordKind, name: &str, content: Vec<u8>) -> io::Result<()> {
        let directory = self.directory(kind);
        let path = directory.join(name);
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let write = move || {
            use std::os::unix::fs::DirBuilderExt;
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            write_if_changed(&path, &content, 0o600).map(drop)
        };
        crate::supervise::blocking("pull records", write).await.map_err(io::Error::other)?
    }

    async fn remove(&self, kind: RecordKind, name: &str) -> io::Result<()> {
        missing_is_none(tokio::fs::remove_file(self.directory(kind).join(name)).await).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_are_written_listed_and_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = RecordFiles::new(directory.path());
        assert!(files.list(RecordKind::Pulled).await.expect("a list").is_empty());
        files.write(RecordKind::Pulled, "sha256-1", b"{}".to_vec()).await.expect("a write");
        std::fs::write(directory.path().join("image_manager/pulled/sha256-2.tmp"), "half").expect("a file");
        assert_eq!(files.list(RecordKind::Pulled).await.expect("a list"), [("sha256-1".to_owned(), b"{}".to_vec())]);
        assert_eq!(files.read(RecordKind::Pulling, "sha256-1").await.expect("a read"), None);
        files.remove(RecordKind::Pulled, "sha256-1").await.expect("a removal");
        files.remove(RecordKind::Pulled, "sha256-1").await.expect("a second removal");
    }
}
