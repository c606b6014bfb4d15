//! Manifest files on disk, watched with inotify.

#![expect(clippy::disallowed_methods, reason = "blocks: the file source reads on a thread of its own")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use futures::StreamExt;
use inotify::{EventMask, EventStream, Inotify, WatchDescriptor, WatchMask, Watches};
use sha2::{Digest, Sha256};
use tracing::warn;

use super::atomic::write_if_changed;
use crate::core::model::{MAX_MANIFEST_BYTES, ReadFile, is_manifest_name, with_causes};
use crate::ports::kubelet::ManifestFiles;

/// Most symbolic links that are followed before a path is considered a loop, as in the kernel.
const MAX_LINKS: usize = 40;

/// A directory of manifests, or one manifest.
pub struct ManifestDir {
    path: PathBuf,
    store: PathBuf,
    watch: Option<Watch>,
    removed: BTreeSet<PathBuf>,
}

struct Watch {
    stream: EventStream<Vec<u8>>,
    watches: Watches,
    /// Directory → its watch and the names in it that matter; `None` for all names.
    points: BTreeMap<PathBuf, (WatchDescriptor, Option<BTreeSet<OsString>>)>,
}

impl ManifestDir {
    /// Manifests at `path`; copies of valid ones are stored in the directory `store`. Without inotify, only the slow
    /// re-list remains.
    pub fn new(path: &Path, store: &Path) -> Self {
        Self { path: path.to_path_buf(), store: store.to_path_buf(), watch: None, removed: BTreeSet::new() }
    }

    /// Opens the watch. If the machine has run out of instances, the next re-list tries again.
    fn open_watch(&mut self) {
        let watch = Inotify::init().and_then(|inotify| {
            let watches = inotify.watches();
            let stream = inotify.into_event_stream(vec![0; 4096])?;
            Ok(Watch { stream, watches, points: BTreeMap::new() })
        });
        self.watch = watch
            .inspect_err(|error| warn!(error = with_causes(&error), "no inotify: manifests are only re-listed"))
            .ok();
    }

    fn kept_path(&self, path: &Path) -> PathBuf {
        let digest = Sha256::digest(path.as_os_str().as_bytes());
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.store.join(name)
    }

    fn rearm(&mut self, files: &[PathBuf]) {
        if self.watch.is_none() {
            self.open_watch();
        }
        let Some(watch) = &mut self.watch else { return };
        let mut wanted: BTreeMap<PathBuf, Option<BTreeSet<OsString>>> = BTreeMap::new();
        follow(&self.path, &mut wanted, MAX_LINKS);
        for file in files {
            follow(file, &mut wanted, MAX_LINKS);
        }
        if self.path.is_dir() {
            wanted.insert(self.path.canonicalize().unwrap_or_else(|_| self.path.clone()), None);
        }
        let gone: Vec<_> = watch.points.keys().filter(|dir| !wanted.contains_key(*dir)).cloned().collect();
        for dir in gone {
            if let Some((descriptor, _)) = watch.points.remove(&dir) {
                let _ = watch.watches.remove(descriptor);
            }
        }
        let mask = WatchMask::CREATE
            | WatchMask::CLOSE_WRITE
            | WatchMask::ATTRIB
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        for (dir, names) in wanted {
            // Adding a watch again returns the same descriptor, or a new one if the directory was replaced.
            if let Ok(descriptor) = watch.watches.add(&dir, mask) {
                watch.points.insert(dir, (descriptor, names));
            }
        }
    }
}

/// Collects each directory entry that determines what `path` refers to: every existing component, and every component
/// of the links among them.
fn follow(path: &Path, points: &mut BTreeMap<PathBuf, Option<BTreeSet<OsString>>>, links: usize) {
    let mut at = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => drop(at.pop()),
            Component::Normal(name) => {
                if let Some(names) = points.entry(at.clone()).or_insert_with(|| Some(BTreeSet::new())) {
                    names.insert(name.to_os_string());
                }
                let full = at.join(name);
                match fs::read_link(&full) {
                    Ok(target) if links > 0 => {
                        let target = at.join(target);
                        follow(&target, points, links.saturating_sub(1));
                        at = target.canonicalize().unwrap_or(target);
                    }
                    Ok(_) | Err(_) => at = full,
                }
            }
        }
        if !at.exists() {
            return;
        }
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let refuse = |e: io::Error| format!("cannot be read: {e}");
    let meta = fs::metadata(path).map_err(refuse)?;
    if !meta.is_file() {
        return Err("is not a regular file".into());
    }
    let mut bytes = Vec::new();
    let limit = (MAX_MANIFEST_BYTES as u64).saturating_add(1);
    fs::File::open(path).map_err(refuse)?.take(limit).read_to_end(&mut bytes).map_err(refuse)?;
    Ok(bytes)
}

#[async_trait]
impl ManifestFiles for ManifestDir {
    fn read(&mut self) -> io::Result<Vec<ReadFile>> {
        let meta = match fs::metadata(&self.path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.rearm(&[]);
                return Ok(Vec::new());
            }
            Err(e) => return Err(e),
        };
        let mut paths = Vec::new();
        if meta.is_dir() {
            for entry in fs::read_dir(&self.path)? {
                let path = entry?.path();
                if path.file_name().is_some_and(|name| is_manifest_name(&name.to_string_lossy())) && !path.is_dir() {
                    paths.push(path);
                }
            }
            paths.sort();
        } else {
            paths.push(self.path.clone());
        }
        // Watches first: changes while files are read are reported afterwards.
        self.rearm(&paths);
        Ok(paths.into_iter().map(|path| ReadFile { content: read_bounded(&path), path }).collect())
    }

    async fn changed(&mut self) {
        let Some(watch) = &mut self.watch else { return std::future::pending().await };
        loop {
            let Some(Ok(event)) = watch.stream.next().await else { return std::future::pending().await };
            if event.mask.intersects(EventMask::Q_OVERFLOW | EventMask::DELETE_SELF | EventMask::MOVE_SELF) {
                return;
            }
            let Some(name) = &event.name else { continue };
            let point = watch.points.iter().find(|(_, (descriptor, _))| *descriptor == event.wd);
            let Some((directory, (_, names))) = point else { continue };
            let (counts, path) = match names {
                None => (is_manifest_name(&name.to_string_lossy()), self.path.join(name)),
                Some(names) => (names.contains(name), directory.join(name)),
            };
            if !counts {
                continue;
            }
            // A rename that replaces the file by another one is none of these.
            if event.mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
                self.removed.insert(path);
            }
            return;
        }
    }

    fn take_removed(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.removed)
    }

    fn keep(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.store)?;
        write_if_changed(&self.kept_path(path), content, 0o600).map(drop)
    }

    fn kept(&self, path: &Path) -> Option<Vec<u8>> {
        fs::read(self.kept_path(path)).ok()
    }

    fn forget_others(&self, paths: &[&Path]) {
        let keep: BTreeSet<PathBuf> = paths.iter().map(|path| self.kept_path(path)).collect();
        for entry in fs::read_dir(&self.store).into_iter().flatten().flatten() {
            if !keep.contains(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn noticed(dir: &mut ManifestDir) {
        tokio::time::timeout(Duration::from_secs(30), dir.changed()).await.expect("the change is noticed");
    }

    #[tokio::test]
    async fn notices_files_swapped_links_and_the_directory_itself() {
        let top = tempfile::tempdir().expect("a directory");
        let root = top.path();
        for generation in ["g1", "g2"] {
            fs::create_dir_all(root.join(generation).join("m")).expect("made");
            fs::write(root.join(generation).join("m/a.yaml"), generation).expect("written");
        }
        std::os::unix::fs::symlink("g1", root.join("static")).expect("linked");
        fs::create_dir(root.join("m")).expect("made");
        std::os::unix::fs::symlink("../static/m/a.yaml", root.join("m/a.yaml")).expect("linked");
        let mut dir = ManifestDir::new(&root.join("m"), &root.join("kept"));
        assert_eq!(dir.read().expect("read")[0].content, Ok(b"g1".to_vec()));
        std::os::unix::fs::symlink("g2", root.join("next")).expect("linked");
        fs::rename(root.join("next"), root.join("static")).expect("swapped");
        noticed(&mut dir).await;
        assert_eq!(dir.read().expect("read")[0].content, Ok(b"g2".to_vec()));
        fs::write(root.join("m/b.yaml"), "b").expect("written");
        noticed(&mut dir).await;
        assert_eq!(dir.read().expect("read").len(), 2);
        fs::remove_dir_all(root.join("m")).expect("removed");
        noticed(&mut dir).await;
        assert_eq!(dir.read().expect("a missing place holds none").len(), 0);
        fs::create_dir(root.join("m")).expect("made again");
        noticed(&mut dir).await;
    }

    #[tokio::test]
    async fn tells_a_file_that_was_taken_away_from_one_that_was_replaced() {
        let top = tempfile::tempdir().expect("a directory");
        let root = top.path();
        let (manifest, draft) = (root.join("m/a.manifest"), root.join("m/.a.manifest"));
        fs::create_dir(root.join("m")).expect("made");
        fs::write(&manifest, "one").expect("written");
        for place in [root.join("m"), manifest.clone()] {
            let mut dir = ManifestDir::new(&place, &root.join("kept"));
            assert_eq!(dir.read().expect("read")[0].content, Ok(b"one".to_vec()));
            fs::write(&draft, "one").expect("written");
            fs::rename(&draft, &manifest).expect("replaced");
            noticed(&mut dir).await;
            assert_eq!(dir.take_removed(), BTreeSet::new(), "{place:?}");
            fs::remove_file(&manifest).expect("removed");
            fs::write(&manifest, "one").expect("written again");
            noticed(&mut dir).await;
            assert_eq!(dir.take_removed(), BTreeSet::from([manifest.clone()]), "{place:?}");
            assert_eq!(dir.take_removed(), BTreeSet::new(), "{place:?}");
        }
    }

    #[tokio::test]
    async fn keeps_good_copies_apart_by_path() {
        let top = tempfile::tempdir().expect("a directory");
        let dir = ManifestDir::new(top.path(), &top.path().join("kept"));
        let (a, b) = (Path::new("/x/a.yaml"), Path::new("/x/b.yaml"));
        dir.keep(a, b"one").expect("kept");
        dir.keep(b, b"two").expect("kept");
        assert_eq!(dir.kept(a), Some(b"one".to_vec()));
        dir.forget_others(&[b]);
        assert_eq!((dir.kept(a), dir.kept(b)), (None, Some(b"two".to_vec())));
    }
}
