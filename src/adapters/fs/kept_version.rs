//! The file in the kubelet's folder with the version that it claims, and the one that its API server told last.

#![expect(clippy::disallowed_methods, reason = "one small file, before anything runs")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::atomic::write_if_changed;
use crate::core::model::Version;

/// Name of the file.
const NAME: &str = "kubernetes-version";
/// More would not be ours.
const MOST: usize = 4096;

/// What the file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptVersion {
    /// Version of the API server, when it last answered; `None` if it never did.
    pub api_server: Option<Version>,
    /// The version that the kubelet claimed when it started last.
    pub claimed: Option<Version>,
}

fn path(root: &Path) -> PathBuf {
    root.join(NAME)
}

/// Reads the file; what is missing or unreadable is unknown.
pub fn read(root: &Path) -> KeptVersion {
    let text = fs::read(path(root)).unwrap_or_default();
    let text = String::from_utf8_lossy(text.get(..MOST).unwrap_or(&text));
    let line = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.trim().parse().ok())
    };
    KeptVersion { api_server: line("api-server"), claimed: line("claimed") }
}

/// Writes the file if it says something else.
///
/// # Errors
/// The folder cannot be created, or the file not be written.
pub fn keep(root: &Path, kept: KeptVersion) -> io::Result<()> {
    if read(root) == kept {
        return Ok(());
    }
    let line = |name: &str, version: Option<Version>| version.map(|version| format!("{name}={version}\n"));
    let lines = [line("api-server", kept.api_server), line("claimed", kept.claimed)];
    let text: String = lines.into_iter().flatten().collect();
    fs::create_dir_all(root)?;
    write_if_changed(&path(root), text.as_bytes(), 0o644).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_what_is_not_understood_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("kubelet");
        assert_eq!(read(&root), KeptVersion::default());
        let version = |text: &str| text.parse::<Version>().ok();
        for kept in [
            KeptVersion { api_server: version("v1.36.5"), claimed: version("v1.36.3") },
            KeptVersion { api_server: None, claimed: version("v1.37.2") },
        ] {
            keep(&root, kept).unwrap();
            assert_eq!(read(&root), kept);
        }
        fs::write(path(&root), "api-server=soon\nclaimed=v1.35.4\n\u{0}").unwrap();
        assert_eq!(read(&root), KeptVersion { api_server: None, claimed: version("v1.35.4") });
    }
}
