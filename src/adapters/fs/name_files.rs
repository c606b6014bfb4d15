//! `resolv.conf` and `/etc/hosts` of the node.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::offload::Lanes;
use crate::ports::kubelet::NameFiles;

/// Longer files are rejected, as upstream does with a longer resolv.conf.
const MAX_FILE: u64 = 10 << 20;

/// The files may be on a failing disk, or be pipes.
#[derive(Clone, Debug)]
pub struct LocalNameFiles {
    resolv_conf: Option<PathBuf>,
    hosts: PathBuf,
    lanes: Lanes,
}

impl LocalNameFiles {
    /// `resolv_conf` is the setting, empty for none.
    pub fn new(resolv_conf: &str) -> Self {
        let resolv_conf = Some(resolv_conf).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self { resolv_conf, hosts: PathBuf::from("/etc/hosts"), lanes: Lanes::new("file") }
    }

    async fn read(&self, path: &Path) -> io::Result<String> {
        let own = path.to_path_buf();
        self.lanes.io(path.to_string_lossy(), "read", move || read(&own)).await
    }
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn read(path: &Path) -> io::Result<String> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("open {}: {error}", path.display()));
    let mut content = Vec::new();
    File::open(path).map_err(named)?.take(MAX_FILE.saturating_add(1)).read_to_end(&mut content).map_err(named)?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(io::Error::other(format!("{} is longer than {MAX_FILE} bytes", path.display())));
    }
    Ok(String::from_utf8_lossy(&content).into_owned())
}

#[async_trait]
impl NameFiles for LocalNameFiles {
    async fn resolv_conf(&self) -> io::Result<Option<String>> {
        match &self.resolv_conf {
            Some(path) => self.read(path).await.map(Some),
            None => Ok(None),
        }
    }

    async fn hosts(&self) -> io::Result<String> {
        self.read(&self.hosts).await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn each_look_finds_the_file_as_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let files = LocalNameFiles::new(path.to_str().unwrap());
        let missing = files.resolv_conf().await.unwrap_err().to_string();
        assert!(missing.starts_with(&format!("open {}: No such file", path.display())), "{missing}");
        for text in ["nameserver 192.0.2.1\n", "nameserver 192.0.2.2\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(files.resolv_conf().await.unwrap().as_deref(), Some(text));
        }
        File::options().write(true).open(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert!(files.resolv_conf().await.is_err(), "no resolver's file is that long");
        assert_eq!(LocalNameFiles::new("").resolv_conf().await.unwrap(), None);
    }
}
