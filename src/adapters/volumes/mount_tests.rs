//! Real mounts, as root in a mount namespace of the test (feature `node-tests`): nothing is left behind.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::tests::{Shelf, pod, volumes};
use super::*;
use crate::adapters::fs::mount_tests;

/// Runs the test again in a new mount namespace; true in the inner run, which does the work.
fn in_own_namespace(name: &str) -> bool {
    mount_tests::in_own_namespace(&format!("adapters::volumes::mount_tests::{name}"))
}

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

fn mounts_in(dir: &Path) -> usize {
    mounts::mounts_below(dir).unwrap().len()
}

#[test]
fn memory_volumes_are_mounted_once_and_gone_with_the_pod() {
    if !in_own_namespace("memory_volumes_are_mounted_once_and_gone_with_the_pod") {
        return;
    }
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (volumes, shelf) = volumes(dir.path());
        let secret = serde_json::from_value(serde_json::json!({"data": {"k": "djE="}})).unwrap();
        shelf.secrets.lock().unwrap().insert("s".into(), secret);
        let pod = pod(serde_json::json!([{"name": "s", "secret": {"secretName": "s", "defaultMode": 256}},
            {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]));
        let ready = volumes.set_up(&pod).await.unwrap();
        volumes.set_up(&pod).await.unwrap();
        assert_eq!(mounts_in(dir.path()), 2);
        assert_eq!(fs::read_to_string(ready["s"].path.join("k")).unwrap(), "v1");
        assert_eq!(fs::metadata(ready["s"].path.join("k")).unwrap().mode() & 0o777, 0o400);
        assert!(fs::write(ready["m"].path.join("big"), vec![0; 2 << 20]).is_err());
        fs::remove_file(ready["m"].path.join("big")).unwrap();
        fs::write(ready["m"].path.join("small"), "x").unwrap();
        assert!(volumes.tear_down(&PodUid::from("u1")).await.unwrap());
        assert_eq!(mounts_in(dir.path()), 0);
    });
}

/// A pod with a local volume `l` at `disk`, and an emptyDir `e`.
fn pod_with_local_volume(shelf: &Shelf, disk: &Path) -> Pod {
    let claim =
        serde_json::json!({"metadata": {"uid": "c1"}, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}});
    let pv = serde_json::json!({"metadata": {"name": "pv"},
        "spec": {"local": {"path": disk}, "claimRef": {"uid": "c1"}}});
    shelf.claims.lock().unwrap().insert("c".into(), serde_json::from_value(claim).unwrap());
    shelf.volumes.lock().unwrap().insert("pv".into(), serde_json::from_value(pv).unwrap());
    pod(serde_json::json!([{"name": "l", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "e", "emptyDir": {}}]))
}

#[test]
fn the_content_of_foreign_mounts_survives_the_pod() {
    if !in_own_namespace("the_content_of_foreign_mounts_survives_the_pod") {
        return;
    }
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (volumes, shelf) = volumes(dir.path());
        let disk = dir.path().join("disk");
        fs::create_dir(&disk).unwrap();
        fs::write(disk.join("f"), "precious").unwrap();
        let pod = pod_with_local_volume(&shelf, &disk);
        let ready = volumes.set_up(&pod).await.unwrap();
        assert_eq!(fs::read_to_string(ready["l"].path.join("f")).unwrap(), "precious");
        // Left in an emptyDir by a container with mount propagation.
        let inside = ready["e"].path.join("left");
        fs::create_dir(&inside).unwrap();
        rustix::mount::mount_bind(&disk, &inside).unwrap();
        assert!(volumes.tear_down(&PodUid::from("u1")).await.unwrap());
        assert_eq!(fs::read_to_string(disk.join("f")).unwrap(), "precious");
        assert_eq!(mounts_in(dir.path()), 0);
    });
}

#[test]
fn a_pod_below_a_root_that_is_a_link_goes_and_foreign_volumes_keep_everything() {
    if !in_own_namespace("a_pod_below_a_root_that_is_a_link_goes_and_foreign_volumes_keep_everything") {
        return;
    }
    run(async {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        let root = dir.path().join("link");
        let (volumes, shelf) = volumes(&root);
        let disk = dir.path().join("disk");
        fs::create_dir_all(disk.join("folder/inner")).unwrap();
        fs::write(disk.join("f"), "precious").unwrap();
        fs::write(disk.join("empty"), "").unwrap();
        symlink("/nowhere", disk.join("link")).unwrap();
        let pod = pod_with_local_volume(&shelf, &disk);
        let ready = volumes.set_up(&pod).await.unwrap();
        for path in ["folder", "f", "empty"] {
            volumes.sub_path(&pod, "c", path.len(), &ready["l"], "l", path).await.unwrap();
        }
        fs::create_dir(ready["e"].path.join("left")).unwrap();
        rustix::mount::mount_bind(&disk, ready["e"].path.join("left")).unwrap();

        assert!(volumes.tear_down(&PodUid::from("u1")).await.unwrap(), "the pod comes to its end");
        assert_eq!(fs::read_to_string(disk.join("f")).unwrap(), "precious");
        assert!(disk.join("empty").exists() && disk.join("folder/inner").is_dir() && disk.join("link").is_symlink());
        assert_eq!(mounts_in(dir.path()), 0);
    });
}

#[test]
fn a_sub_path_that_follows_a_restart_removes_nothing_of_the_volume() {
    if !in_own_namespace("a_sub_path_that_follows_a_restart_removes_nothing_of_the_volume") {
        return;
    }
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (volumes, _) = volumes(dir.path());
        let pod = pod(serde_json::json!([{"name": "e", "emptyDir": {}}]));
        let volume = volumes.set_up(&pod).await.unwrap()["e"].clone();
        let bind = async |path: &str| volumes.sub_path(&pod, "c", 0, &volume, "e", path).await;
        fs::write(volume.path.join("a"), "1").unwrap();
        fs::create_dir(volume.path.join("b")).unwrap();
        let target = bind("a").await.unwrap();
        // Mounted over once more: one layer is unmounted, and the next is not a target of ours.
        rustix::mount::mount_bind(volume.path.join("a"), &target).unwrap();
        assert!(bind("b").await.is_err());
        assert_eq!(fs::read_to_string(volume.path.join("a")).unwrap(), "1");
        // While the mount was missing, somebody wrote into the target itself.
        mounts::unmount(&target).unwrap();
        fs::write(&target, "written below a mount").unwrap();
        assert!(bind("b").await.is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "written below a mount");
        fs::write(&target, "").unwrap();
        bind("b").await.unwrap();
        assert!(volumes.tear_down(&PodUid::from("u1")).await.unwrap());
    });
}

#[test]
fn sub_paths_are_bound_and_follow_a_restart() {
    if !in_own_namespace("sub_paths_are_bound_and_follow_a_restart") {
        return;
    }
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (volumes, _) = volumes(dir.path());
        let pod = pod(serde_json::json!([{"name": "e", "emptyDir": {}}]));
        let volume = volumes.set_up(&pod).await.unwrap()["e"].clone();
        let bind = async |path: &str| volumes.sub_path(&pod, "c", 0, &volume, "e", path).await;
        fs::set_permissions(&volume.path, fs::Permissions::from_mode(0o3777)).unwrap();
        let target = bind("new/dir").await.unwrap();
        assert_eq!(target, dir.path().join("pods/u1/volume-subpaths/e/c/0"));
        assert_eq!(fs::metadata(volume.path.join("new/dir")).unwrap().mode() & 0o7777, 0o3777);
        fs::write(target.join("f"), "1").unwrap();
        assert_eq!(fs::read_to_string(volume.path.join("new/dir/f")).unwrap(), "1");
        // The same path again changes nothing; another file under it is mounted again.
        bind("new/dir").await.unwrap();
        assert_eq!(mounts_in(dir.path()), 1);
        fs::write(volume.path.join("file"), "2").unwrap();
        bind("file").await.unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "2");
        symlink("/etc", volume.path.join("out")).unwrap();
        let refused = bind("out").await.unwrap_err();
        assert_eq!(refused.message, "failed to prepare subPath for volumeMount \"e\" of container \"c\"");
        assert!(volumes.tear_down(&PodUid::from("u1")).await.unwrap());
        assert_eq!(mounts_in(dir.path()), 0);
    });
}

/// A loop device on a file, as long as this value exists.
struct Loop(PathBuf);

impl Loop {
    fn of(file: &Path, size: u64) -> Self {
        fs::File::create(file).unwrap().set_len(size).unwrap();
        let made = std::process::Command::new("losetup").args(["--find", "--show"]).arg(file).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        Self(String::from_utf8(made.stdout).unwrap().trim().into())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = std::process::Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}

#[test]
fn a_local_volume_on_a_raw_device_is_formatted_once_and_mounted_for_each_pod() {
    if !in_own_namespace("a_local_volume_on_a_raw_device_is_formatted_once_and_mounted_for_each_pod") {
        return;
    }
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("kubelet");
        fs::create_dir(&root).unwrap();
        let device = Loop::of(&dir.path().join("image"), 16 << 20);
        let link = dir.path().join("by-name");
        symlink(&device.0, &link).unwrap();
        let (volumes, shelf) = volumes(&root);
        let pods = ["u1", "u2"].map(|uid| {
            let mut pod = pod_with_local_volume(&shelf, &link);
            pod.metadata.uid = Some(uid.into());
            pod
        });
        shelf.volumes.lock().unwrap().get_mut("pv").unwrap().spec.as_mut().unwrap().mount_options =
            Some(vec!["noatime".into()]);
        let read_only = pod(serde_json::json!([{"name": "l",
            "persistentVolumeClaim": {"claimName": "c", "readOnly": true}}]));
        let refused = &volumes.set_up(&read_only).await.unwrap_err()[0].message;
        assert!(refused.contains("cannot mount unformatted disk"), "{refused}");

        let (one, two) = tokio::join!(volumes.set_up(&pods[0]), volumes.set_up(&pods[1]));
        let (one, two) = (one.unwrap()["l"].clone(), two.unwrap()["l"].clone());
        fs::write(one.path.join("f"), "1").unwrap();
        assert_eq!(fs::read_to_string(two.path.join("f")).unwrap(), "1", "one file system");
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = table.lines().find(|line| line.contains(one.path.to_str().unwrap())).unwrap();
        assert!(line.contains(" - ext4 ") && line.contains("noatime"), "{line}");
        volumes.set_up(&pods[0]).await.unwrap();
        for uid in ["u1", "u2"] {
            assert!(volumes.tear_down(&PodUid::from(uid)).await.unwrap());
        }
        assert_eq!(mounts_in(&root), 0);
        // Its content is kept, also for read-only users.
        let again = volumes.set_up(&read_only).await.unwrap()["l"].clone();
        assert_eq!(fs::read_to_string(again.path.join("f")).unwrap(), "1");
        assert!(fs::write(again.path.join("f"), "2").is_err());
        assert!(volumes.tear_down(&PodUid::from("u1")).await.unwrap());
        let mut odd = pods[0].clone();
        odd.metadata.uid = Some("u3".into());
        let fs_type = |name: &str| {
            let mut shelf = shelf.volumes.lock().unwrap();
            let spec = shelf.get_mut("pv").unwrap().spec.as_mut().unwrap();
            spec.local.as_mut().unwrap().fs_type = Some(name.into());
        };
        fs_type("../../../tmp/x");
        let refused = &volumes.set_up(&odd).await.unwrap_err()[0].message;
        assert!(refused.contains("is not a file system"), "{refused}");
        fs_type("ext3");
        volumes.set_up(&odd).await.unwrap_err();
        assert_eq!(mounts_in(&root), 0, "an ext4 is no ext3, and is not formatted again");
        volumes.tear_down(&PodUid::from("u3")).await.unwrap();
    });
}

#[test]
fn the_root_directory_propagates_mounts() {
    if !in_own_namespace("the_root_directory_propagates_mounts") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("kubelet");
    LocalVolumes::prepare_root(&root).unwrap();
    LocalVolumes::prepare_root(&root).unwrap();
    assert_eq!(mounts_in(&root), 1);
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = table.lines().find(|l| l.contains(root.to_str().unwrap())).unwrap();
    assert!(line.contains("shared:"), "{line}");
    mounts::unmount(&root).unwrap();
}
