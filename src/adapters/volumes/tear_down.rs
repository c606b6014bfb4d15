//! Removes a pod's volumes: unmounts newest first, then removes only what the kubelet itself created.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::layout::plugin;
use crate::adapters::fs::folder::{Folder, resolved};
use crate::adapters::fs::{atomic, mounts, pod_files};

/// Plugins whose directories contain only what the pod itself wrote.
const OWN: [&str; 5] = [plugin::EMPTY_DIR, plugin::CONFIG_MAP, plugin::SECRET, plugin::DOWNWARD_API, plugin::PROJECTED];
/// What the kubelet creates in the directory of a driver's volume: the record and the mount point.
const RECORD: &str = "vol_data.json";
const TARGET: &str = "mount";

/// Something that could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct Fault {
    pub path: PathBuf,
    pub cause: io::Error,
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    /// Records a failure; "not found" is not one.
    fn note<T>(&mut self, path: &Path, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => return Some(value),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => self.0.push(Fault { path: path.to_path_buf(), cause }),
        }
        None
    }

    fn names(&mut self, folder: &Folder) -> Vec<OsString> {
        self.note(folder.path(), folder.names()).unwrap_or_default()
    }

    fn sub(&mut self, folder: &Folder, name: &OsString) -> Option<Folder> {
        self.note(&folder.path().join(name), folder.sub(name)).flatten()
    }

    fn remove(&mut self, folder: &Folder, name: &OsString, how: fn(&Folder, &OsString) -> io::Result<()>) {
        self.note(&folder.path().join(name), how(folder, name));
    }
}

/// The plugin of each volume that the pod has, by their directories.
pub fn plugins_of(pod_dir: &Path) -> Vec<String> {
    let names = |folder: &Path| -> Vec<OsString> {
        Folder::open(folder).ok().flatten().and_then(|folder| folder.names().ok()).unwrap_or_default()
    };
    let volumes = pod_dir.join("volumes");
    let of_plugin = |plugin: OsString| {
        let number = names(&volumes.join(&plugin)).len();
        std::iter::repeat_n(plugin.to_string_lossy().into_owned(), number)
    };
    names(&volumes).into_iter().flat_map(of_plugin).collect()
}

/// Unmounts everything below the pod's directory and removes the directory. Empty when nothing is left.
pub fn tear_down(pod_dir: &Path) -> Vec<Fault> {
    let mut faults = Faults::default();
    // The mount table contains no links, and the kubelet's directory may be behind one.
    let Some(pod_dir) = faults.note(pod_dir, resolved(pod_dir)) else { return faults.0 };
    match mounts::unmount_below(&pod_dir, mounts::Top::Too) {
        Ok(left) => faults.0.extend(left.into_iter().map(|(path, cause)| Fault { path, cause })),
        Err(error) => _ = faults.note::<()>(&pod_dir, Err(error)),
    }
    // Whatever is still mounted, its content belongs to others.
    if !faults.0.is_empty() {
        return faults.0;
    }
    let (Some(pods), Some(uid)) = (pod_dir.parent(), pod_dir.file_name().map(OsString::from)) else { return faults.0 };
    let Some(pods) = faults.note(pods, Folder::open(pods)).flatten() else { return faults.0 };
    let Some(pod) = faults.sub(&pods, &uid) else { return faults.0 };
    remove_content(&pod, &mut faults);
    faults.remove(&pods, &uid, Folder::remove_folder);
    faults.0
}

fn remove_content(pod: &Folder, faults: &mut Faults) {
    if let Some(volumes) = faults.sub(pod, &"volumes".into()) {
        for kind in faults.names(&volumes) {
            let Some(folder) = faults.sub(&volumes, &kind) else { continue };
            let own = OWN.iter().any(|own| kind == *own);
            for volume in faults.names(&folder) {
                if own {
                    faults.remove(&folder, &volume, Folder::remove_tree);
                } else {
                    remove_foreign(&folder, &volume, faults);
                }
            }
            faults.remove(&volumes, &kind, Folder::remove_folder);
        }
        faults.remove(pod, &"volumes".into(), Folder::remove_folder);
    }
    // volume-subpaths/VOLUME/CONTAINER/INDEX and volumeDevices/PLUGIN/NAME
    remove_targets(pod, &"volume-subpaths".into(), 3, faults);
    remove_targets(pod, &"volumeDevices".into(), 2, faults);
    for name in ["plugins", "containers"] {
        faults.remove(pod, &name.into(), Folder::remove_tree);
    }
    for name in ["etc-hosts", "userns", pod_files::STATUS] {
        faults.remove(pod, &name.into(), Folder::remove_file);
    }
    for draft in faults.names(pod).iter().filter(|name| atomic::is_draft(Path::new(name))) {
        faults.remove(pod, draft, Folder::remove_file);
    }
}

/// Removes the directory of a volume whose content belongs to others: the mount point and the kubelet's records beside
/// it. Anything else was written while the mount was missing, and keeps the directory.
fn remove_foreign(kind: &Folder, volume: &OsString, faults: &mut Faults) {
    let Some(folder) = faults.sub(kind, volume) else { return };
    for name in faults.names(&folder) {
        if name == TARGET {
            faults.remove(&folder, &name, Folder::remove_folder);
        } else if name == RECORD || atomic::is_draft(Path::new(&name)) {
            faults.remove(&folder, &name, Folder::remove_file);
        }
    }
    faults.remove(kind, volume, Folder::remove_folder);
}

/// Removes the mount points that are `levels` below a directory, and the directories above them.
fn remove_targets(parent: &Folder, name: &OsString, levels: usize, faults: &mut Faults) {
    let Some(levels) = levels.checked_sub(1) else {
        return faults.remove(parent, name, Folder::remove_target);
    };
    let Some(folder) = faults.sub(parent, name) else { return };
    for inner in faults.names(&folder) {
        remove_targets(&folder, &inner, levels, faults);
    }
    faults.remove(parent, name, Folder::remove_folder);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

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
        assert_eq!(plugins_of(&pod).len(), 2);
        let faults = tear_down(&pod);
        assert!(!own.exists() && foreign.join("data").exists() && !faults.is_empty());
        fs::remove_file(foreign.join("data")).unwrap();
        let faults = tear_down(&pod);
        assert!(faults.is_empty() && !pod.exists(), "{faults:?}");
        assert!(tear_down(&pod).is_empty());
    }

    #[test]
    fn what_was_written_where_a_mount_should_be_is_kept_even_if_it_is_empty() {
        let root = tempfile::tempdir().unwrap();
        let pod = root.path().join("u1");
        let volume = pod.join("volumes/kubernetes.io~local-volume/l");
        fs::create_dir_all(volume.join("folder/of/a/user")).unwrap();
        fs::write(volume.join("empty"), "").unwrap();
        symlink("/somewhere", volume.join("link")).unwrap();
        fs::create_dir_all(pod.join("volume-subpaths/v/c/0/more")).unwrap();
        fs::write(pod.join("volume-subpaths/v/c/1"), "").unwrap();
        let faults = tear_down(&pod);
        assert!(!faults.is_empty());
        for kept in ["folder/of/a/user", "empty"] {
            assert!(volume.join(kept).exists(), "{kept}");
        }
        assert!(volume.join("link").is_symlink() && pod.join("volume-subpaths/v/c/0/more").exists());
        assert!(!pod.join("volume-subpaths/v/c/1").exists(), "an empty target of a mount");
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_leads_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let (pods, kept) = (root.path().join("pods"), root.path().join("kept"));
        fs::create_dir_all(kept.join("volumes/kubernetes.io~empty-dir/e")).unwrap();
        fs::write(kept.join("volumes/kubernetes.io~empty-dir/e/f"), "x").unwrap();
        fs::create_dir_all(pods.join("u2/volumes")).unwrap();
        symlink(&kept, pods.join("u1")).unwrap();
        symlink(kept.join("volumes/kubernetes.io~empty-dir"), pods.join("u2/volumes/kubernetes.io~empty-dir")).unwrap();
        assert!(!tear_down(&pods.join("u1")).is_empty());
        assert!(!tear_down(&pods.join("u2")).is_empty());
        assert!(kept.join("volumes/kubernetes.io~empty-dir/e/f").exists());
    }
}
