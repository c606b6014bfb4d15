//! Takes a pod's volumes down: unmounts newest first, then removes only what the kubelet itself made.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::layout::plugin;
use crate::adapters::fs::{atomic, beneath, entries, mounts, pod_files};

/// Plugins whose directories hold nothing but what the pod itself put there.
const OWN: [&str; 5] = [plugin::EMPTY_DIR, plugin::CONFIG_MAP, plugin::SECRET, plugin::DOWNWARD_API, plugin::PROJECTED];

/// Something that could not be taken down.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct Fault {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub cause: io::Error,
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    /// Remembers a failure; something that is gone already is none.
    fn note(&mut self, path: &Path, result: io::Result<()>) {
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.0.push(Fault { path: path.to_path_buf(), cause: error });
            }
            _ => {}
        }
    }
}

/// Unmounts everything below the pod's directory and removes the directory. Empty when nothing is left.
pub fn tear_down(pod_dir: &Path) -> Vec<Fault> {
    let mut faults = Faults::default();
    match mounts::mounts_below(pod_dir) {
        Ok(points) => points.iter().for_each(|point| faults.note(point, mounts::unmount(point))),
        Err(error) => faults.note(pod_dir, Err(error)),
    }
    // Whatever is still mounted, its content belongs to someone else.
    if !faults.0.is_empty() || !mounts::mounts_below(pod_dir).is_ok_and(|left| left.is_empty()) {
        return faults.0;
    }
    for kind in entries(&pod_dir.join("volumes")) {
        let own = kind.file_name().is_some_and(|name| OWN.iter().any(|own| name == *own));
        for volume in entries(&kind) {
            faults.note(&volume, if own { beneath::remove_tree(&volume) } else { remove_empty(&volume) });
        }
        faults.note(&kind, fs::remove_dir(&kind));
    }
    faults.note(&pod_dir.join("volumes"), fs::remove_dir(pod_dir.join("volumes")));
    faults.note(&pod_dir.join("volume-subpaths"), remove_empty(&pod_dir.join("volume-subpaths")));
    faults.note(&pod_dir.join("volumeDevices"), remove_empty(&pod_dir.join("volumeDevices")));
    for name in ["plugins", "containers"] {
        faults.note(&pod_dir.join(name), beneath::remove_tree(&pod_dir.join(name)));
    }
    for name in ["etc-hosts", "userns", pod_files::STATUS] {
        faults.note(&pod_dir.join(name), fs::remove_file(pod_dir.join(name)));
    }
    for draft in entries(pod_dir).iter().filter(|path| atomic::is_draft(path)) {
        faults.note(draft, fs::remove_file(draft));
    }
    faults.note(pod_dir, fs::remove_dir(pod_dir));
    faults.0
}

/// Removes directories bottom-up, and of files only empty ones and links (mount targets and device links): a file with
/// content means that a mount is gone and data lies below it. The kubelet's own notes go too.
fn remove_empty(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    let note = path.file_name().is_some_and(|name| name == "vol_data.json") || atomic::is_draft(path);
    if meta.is_symlink() || (meta.is_file() && (meta.len() == 0 || note)) {
        return fs::remove_file(path);
    }
    if !meta.is_dir() {
        return Err(io::Error::other("not removed: it has content"));
    }
    for entry in entries(path) {
        remove_empty(&entry)?;
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_content_is_removed_and_foreign_content_kept() {
        let root = tempfile::tempdir().unwrap();
        let pod = root.path().join("u1");
        let (own, foreign) = (pod.join("volumes/kubernetes.io~empty-dir/e"), pod.join("volumes/kubernetes.io~nfs/n"));
        fs::create_dir_all(&own).unwrap();
        fs::create_dir_all(&foreign).unwrap();
        fs::create_dir_all(pod.join("containers/c")).unwrap();
        fs::write(pod.join(pod_files::STATUS), "{}").unwrap();
        fs::write(own.join("f"), "x").unwrap();
        fs::write(pod.join(".roost-a1B2c3"), "a kubelet was killed while it wrote this").unwrap();
        fs::write(foreign.join("data"), "x").unwrap();
        let faults = tear_down(&pod);
        assert!(!own.exists() && foreign.join("data").exists() && !faults.is_empty());
        fs::remove_file(foreign.join("data")).unwrap();
        let faults = tear_down(&pod);
        assert!(faults.is_empty() && !pod.exists(), "{faults:?}");
        assert!(tear_down(&pod).is_empty());
    }
}
