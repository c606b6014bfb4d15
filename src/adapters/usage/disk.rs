//! File systems by `statvfs`, directories by walking them, with a memory for what is dear.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::core::model::usage::FsUsage;

/// How long a directory's size is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// A directory with more entries than this is measured up to here only: nobody may keep the kubelet walking.
const MOST_ENTRIES: u64 = 500_000;

/// What a directory takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes on disk, not the apparent size.
    pub bytes: u64,
    /// Inodes; a file with several names counts once.
    pub inodes: u64,
}

/// Sizes of directories, remembered for a minute.
#[derive(Debug, Default)]
pub struct Directories {
    known: Mutex<HashMap<PathBuf, (Taken, Instant)>>,
}

impl Directories {
    /// What a directory takes; `fresh` does not believe the memory. Other file systems mounted below do not count.
    pub fn taken(&self, path: &Path, fresh: bool) -> Taken {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((taken, at)) = lock().get(path)
            && !fresh
            && at.elapsed() < BELIEVED
        {
            return *taken;
        }
        let taken = walk(path);
        let mut known = lock();
        known.retain(|_, (_, at)| at.elapsed() < BELIEVED);
        known.insert(path.to_owned(), (taken, Instant::now()));
        taken
    }
}

fn walk(root: &Path) -> Taken {
    let Ok(top) = fs::symlink_metadata(root) else { return Taken::default() };
    let mut taken = Taken { bytes: top.blocks() * 512, inodes: 1 };
    let mut linked = std::collections::HashSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        // Directories vanish while they are walked.
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.dev() != top.dev()
                || (metadata.nlink() > 1 && metadata.is_file() && !linked.insert(metadata.ino()))
            {
                continue;
            }
            taken.bytes += metadata.blocks() * 512;
            taken.inodes += 1;
            if taken.inodes >= MOST_ENTRIES {
                return taken;
            }
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    taken
}

/// The file system that holds a path; used is all that is used on it.
pub fn file_system(path: &Path) -> Option<FsUsage> {
    let found = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(FsUsage {
        time: Timestamp::now(),
        available_bytes: Some(bytes(found.f_bavail)),
        capacity_bytes: Some(bytes(found.f_blocks)),
        used_bytes: Some(bytes(found.f_blocks.saturating_sub(found.f_bfree))),
        inodes_free: Some(found.f_ffree),
        inodes: Some(found.f_files),
        inodes_used: Some(found.f_files.saturating_sub(found.f_ffree)),
    })
}

/// The share of a file system that is taken by one thing on it.
pub fn share(fs: FsUsage, taken: Taken) -> FsUsage {
    FsUsage { used_bytes: Some(taken.bytes), inodes_used: Some(taken.inodes), ..fs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_walked_once_a_minute_and_counts_links_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("a/file"), vec![1; 10_000]).unwrap();
        fs::hard_link(root.path().join("a/file"), root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/", root.path().join("a/out")).unwrap();
        let directories = Directories::default();
        let taken = directories.taken(root.path(), false);
        assert_eq!(taken.inodes, 4, "two directories, one file, one symbolic link");
        assert!((10_000..200_000).contains(&taken.bytes), "{taken:?}");
        fs::write(root.path().join("more"), "x").unwrap();
        assert_eq!(directories.taken(root.path(), false), taken);
        assert_eq!(directories.taken(root.path(), true).inodes, 5);
        assert_eq!(directories.taken(Path::new("/nowhere/at/all"), false), Taken::default());
    }
}
