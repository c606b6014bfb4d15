//! Removals among real mounts, as root in a mount namespace of the test (feature `node-tests`).

#![allow(clippy::unwrap_used)] // a failed assumption ends the test

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::core::v1::Pod;
use rustix::fs::{CWD, IFlags, Mode, OFlags, ioctl_setflags, openat};
use rustix::mount::mount_bind;

use super::node_files::HostFiles;
use super::pod_files::LocalPodFiles;
use super::{mounts, removal};
use crate::ports::bootstrap::NodeFiles;
use crate::ports::kubelet::PodFiles;

const INNER: &str = "ROOST_INNER_MOUNT_TEST";

/// Runs the test of this full name again in a new mount namespace; true in the inner run, which does the work.
pub fn in_own_namespace(test: &str) -> bool {
    after(test, "true", Path::new("/"))
}

/// Like [`in_own_namespace`], after a shell command that gets `dir` as `$0`.
fn after(test: &str, command: &str, dir: &Path) -> bool {
    if std::env::var_os(INNER).is_some() {
        return true;
    }
    let script = format!("{command} && exec $1 --exact {test} --nocapture");
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-ec", &script]).arg(dir);
    shell.arg(std::env::current_exe().unwrap());
    assert!(shell.env(INNER, dir).status().unwrap().success());
    false
}

/// Files that must not be removed: with and without content, a directory and a link.
struct Precious(PathBuf);

impl Precious {
    fn make(place: &Path) -> Self {
        fs::create_dir_all(place.join("folder/inner")).unwrap();
        fs::write(place.join("file"), "precious").unwrap();
        fs::write(place.join("empty"), "").unwrap();
        symlink("/nowhere", place.join("link")).unwrap();
        Self(place.to_owned())
    }

    fn bind(&self, point: &Path) {
        fs::create_dir_all(point).unwrap();
        mount_bind(&self.0, point).unwrap();
    }

    fn assert_is_whole(&self) {
        assert_eq!(fs::read_to_string(self.0.join("file")).unwrap(), "precious");
        assert!(
            self.0.join("empty").exists() && self.0.join("folder/inner").is_dir() && self.0.join("link").is_symlink()
        );
    }
}

#[test]
fn a_removal_enters_no_mount_and_takes_the_rest() {
    if !in_own_namespace("adapters::fs::mount_tests::a_removal_enters_no_mount_and_takes_the_rest") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let precious = Precious::make(&dir.path().join("precious"));
    let tree = dir.path().join("tree");
    precious.bind(&tree.join("a/bound"));
    fs::create_dir_all(tree.join("b/deep")).unwrap();
    fs::write(tree.join("b/file"), "").unwrap();
    mount_bind(precious.0.join("file"), tree.join("b/file")).unwrap();
    // A mount in a mount, and a separate file system.
    mounts::mount_tmpfs(&tree.join("a/bound/folder"), None).unwrap();
    fs::write(tree.join("a/bound/folder/kept"), "x").unwrap();
    symlink(&precious.0, tree.join("b/link")).unwrap();

    let error = removal::remove_tree(&tree).unwrap_err();
    assert!(error.to_string().ends_with("is a mount point; nothing in it is removed"), "{error}");
    assert!(!tree.join("b/deep").exists() && !tree.join("b/link").is_symlink(), "the rest is gone");
    assert!(tree.join("a/bound/folder/kept").exists() && tree.join("b/file").exists());
    let error = removal::remove_tree(&tree.join("a/bound")).unwrap_err();
    assert!(error.to_string().contains("mount point"), "{error}");

    assert!(mounts::unmount_below(&fs::canonicalize(&tree).unwrap(), mounts::Top::Too).unwrap().is_empty());
    precious.assert_is_whole();
    removal::remove_tree(&tree).unwrap();
    assert!(!tree.exists());
    precious.assert_is_whole();
}

#[test]
fn a_folder_behind_a_link_is_emptied_and_what_is_mounted_in_it_survives() {
    if !in_own_namespace(
        "adapters::fs::mount_tests::a_folder_behind_a_link_is_emptied_and_what_is_mounted_in_it_survives",
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let precious = Precious::make(&dir.path().join("precious"));
    let real = dir.path().join("data/kubelet with space");
    fs::create_dir_all(&real).unwrap();
    // A separate disk, which a reset does not unmount.
    mounts::mount_tmpfs(&real, None).unwrap();
    symlink("data", dir.path().join("lib")).unwrap();
    symlink("kubelet with space", dir.path().join("data/kubelet")).unwrap();
    for point in ["pods/u/volumes/kubernetes.io~csi/v/mount", "pods/u/volumes/kubernetes.io~local-volume/l"] {
        precious.bind(&real.join(point));
    }
    // Mounted over each other, and a link to what must stay.
    precious.bind(&real.join("pods/u/volumes/kubernetes.io~local-volume/l"));
    symlink(&precious.0, real.join("pods/u/link")).unwrap();
    fs::write(real.join("config.yaml"), "x").unwrap();

    HostFiles.empty_dir(&dir.path().join("lib/kubelet")).unwrap();
    assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
    precious.assert_is_whole();
    assert_eq!(mounts::mounts_below(&real).unwrap(), [fs::canonicalize(&real).unwrap()]);
    assert!(dir.path().join("data/kubelet").is_symlink(), "the administrator's link stays");
    HostFiles.empty_dir(&dir.path().join("none")).unwrap();
    symlink("/usr", dir.path().join("mistake")).unwrap();
    assert!(HostFiles.empty_dir(&dir.path().join("mistake")).is_err());
    mounts::unmount(&real).unwrap();
}

#[test]
fn nothing_is_removed_while_a_mount_cannot_be_unmounted() {
    let dir = tempfile::tempdir().unwrap();
    let place = std::env::var_os(INNER).map_or_else(|| dir.path().to_owned(), PathBuf::from);
    let (precious, folder) = (place.join("precious"), place.join("folder"));
    if std::env::var_os(INNER).is_none() {
        Precious::make(&precious);
        fs::create_dir_all(folder.join("bound")).unwrap();
        fs::write(folder.join("first"), "x").unwrap();
    }
    // Mounts inherited by a user namespace are locked.
    let bind = "mount --bind $0/precious $0/folder/bound; set -- 'unshare --user --map-root-user --mount '$1; true";
    if !after("adapters::fs::mount_tests::nothing_is_removed_while_a_mount_cannot_be_unmounted", bind, &place) {
        return;
    }
    let error = HostFiles.empty_dir(&folder).unwrap_err();
    assert_eq!(error.source.to_string(), "still mounted");
    assert!(folder.join("first").exists());
    Precious(precious).assert_is_whole();
}

#[test]
fn a_mount_that_another_one_hides_is_named_and_survives() {
    if !in_own_namespace("adapters::fs::mount_tests::a_mount_that_another_one_hides_is_named_and_survives") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap().join("kubelet");
    let precious = Precious::make(&dir.path().join("precious"));
    precious.bind(&root.join("pods/u/bound"));
    // As by the first kubelet that needs a shared mount: mounts below it exist twice.
    rustix::mount::mount_bind_recursive(&root, &root).unwrap();
    assert_eq!(mounts::mounts_below(&root.join("pods")).unwrap().len(), 2);
    assert!(
        mounts::unmount_below(&root.join("pods"), mounts::Top::Too).unwrap().is_empty(),
        "no path leads to the other"
    );
    let error = removal::remove_tree(&root.join("pods")).unwrap_err();
    assert!(error.to_string().contains("pods/u/bound: is a mount point"), "{error}");
    precious.assert_is_whole();
    mounts::unmount(&root).unwrap();
    assert!(mounts::unmount_below(&root.join("pods"), mounts::Top::Too).unwrap().is_empty());
    removal::remove_tree(&root.join("pods")).unwrap();
    precious.assert_is_whole();
}

#[test]
fn a_directory_that_is_made_shared_has_its_mounts_once() {
    if !in_own_namespace("adapters::fs::mount_tests::a_directory_that_is_made_shared_has_its_mounts_once") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap().join("kubelet");
    let precious = Precious::make(&dir.path().join("precious"));
    let point = root.join("pods/u/bound");
    precious.bind(&point);
    rustix::mount::mount_change(&point, rustix::mount::MountPropagationFlags::SHARED).unwrap();
    mounts::mount_tmpfs(&point.join("folder"), None).unwrap();
    fs::write(point.join("folder/kept"), "x").unwrap();
    for _ in 0..2 {
        mounts::make_shared(&root).unwrap();
        assert_eq!(mounts::mounts_below(&root).unwrap().len(), 3, "itself and two");
        assert!(point.join("folder/kept").exists() && point.join("file").exists());
    }
    assert!(mounts::unmount_below(&root.join("pods"), mounts::Top::Too).unwrap().is_empty());
    removal::remove_tree(&root.join("pods")).unwrap();
    mounts::unmount(&root).unwrap();
    precious.assert_is_whole();
}

#[test]
fn a_mount_below_the_longest_path_is_unmounted() {
    if !in_own_namespace("adapters::fs::mount_tests::a_mount_below_the_longest_path_is_unmounted") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let top = fs::canonicalize(dir.path()).unwrap();
    let precious = Precious::make(&top.join("precious"));
    let mut here = openat(CWD, &top, OFlags::PATH, Mode::empty()).unwrap();
    for _ in 0..30 {
        let name = "n".repeat(250);
        rustix::fs::mkdirat(&here, &name, Mode::RWXU).unwrap();
        here = openat(&here, &name, OFlags::PATH, Mode::empty()).unwrap();
    }
    mounts::bind(openat(CWD, &precious.0, OFlags::PATH, Mode::empty()).unwrap(), &mounts::path_of(&here)).unwrap();
    drop(here);
    assert_eq!(mounts::mounts_below(&top).unwrap().len(), 1);
    assert!(mounts::unmount_below(&top, mounts::Top::Too).unwrap().is_empty());
    assert!(mounts::mounts_below(&top).unwrap().is_empty());
    precious.assert_is_whole();
}

#[test]
fn what_cannot_be_removed_is_named_and_the_rest_goes() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("t");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    for name in ["a/b/file", "a/immutable", "a/z", "last"] {
        fs::write(tree.join(name), "").unwrap();
    }
    let immutable = fs::File::open(tree.join("a/immutable")).unwrap();
    ioctl_setflags(&immutable, IFlags::IMMUTABLE).unwrap();
    for _ in 0..2 {
        let error = removal::remove_tree(&tree).unwrap_err();
        let expected = format!("{}: Operation not permitted (os error 1)", tree.join("a/immutable").display());
        assert_eq!(error.to_string(), expected);
        let left: Vec<_> = fs::read_dir(tree.join("a")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["immutable"]);
        assert!(!tree.join("last").exists());
    }
    ioctl_setflags(&immutable, IFlags::empty()).unwrap();
    removal::remove_tree(&tree).unwrap();
}

#[test]
fn logs_go_and_what_is_mounted_among_them_stays() {
    if !in_own_namespace("adapters::fs::mount_tests::logs_go_and_what_is_mounted_among_them_stays") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let precious = Precious::make(&dir.path().join("precious"));
    let pod: Pod =
        serde_json::from_value(serde_json::json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}})).unwrap();
    let files = LocalPodFiles::new(&dir.path().join("k"), &dir.path().join("logs"), &dir.path().join("links"));
    let logs = dir.path().join("logs/ns_p_u");
    precious.bind(&logs.join("c/bound"));
    fs::write(logs.join("c/0.log"), "x").unwrap();
    symlink(precious.0.join("file"), logs.join("c/1.log")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert!(runtime.block_on(files.remove_logs(&pod)).is_err());
    assert!(!logs.join("c/0.log").exists());
    precious.assert_is_whole();
    mounts::unmount(&logs.join("c/bound")).unwrap();
    runtime.block_on(files.remove_logs(&pod)).unwrap();
    assert!(!logs.exists());
    precious.assert_is_whole();
}
