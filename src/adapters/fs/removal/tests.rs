//! Removal of trees that are built to resist it.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::mkdirat;

use super::super::descent::tests::nest;
use super::*;

#[test]
fn a_tree_is_removed_without_following_links() {
    let dir = tempfile::tempdir().unwrap();
    let keep = dir.path().join("keep");
    fs::create_dir(&keep).unwrap();
    fs::write(keep.join("f"), "x").unwrap();
    fs::create_dir_all(dir.path().join("t/sub")).unwrap();
    symlink(&keep, dir.path().join("t/sub/link")).unwrap();
    symlink(&keep, dir.path().join("link")).unwrap();
    for _ in 0..2 {
        remove_tree(&dir.path().join("t")).unwrap();
        remove_tree(&dir.path().join("link")).unwrap();
    }
    assert!(!dir.path().join("t").exists() && !dir.path().join("link").is_symlink() && keep.join("f").exists());
    remove_tree(&dir.path().join("none/at/all")).unwrap();
}

#[test]
fn no_depth_is_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, top) = (dir.path().join("t"), open_root(dir.path()).unwrap());
    mkdirat(&top, "t", Mode::RWXU).unwrap();
    nest(&open_root(&tree).unwrap(), 8_000);
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn what_is_deeper_than_can_be_remembered_is_moved_up() {
    let dir = tempfile::tempdir().unwrap();
    let top = open_root(dir.path()).unwrap();
    fs::create_dir(dir.path().join("t")).unwrap();
    let tree = open_root(&dir.path().join("t")).unwrap();
    nest(&tree, 200);
    // The name that the move would use exists.
    mkdirat(&tree, ".roost-deep-1", Mode::RWXU).unwrap();
    remove_within(&top, b"t", Bounds { entries: u64::MAX, levels: 30 }).unwrap();
    assert!(!dir.path().join("t").exists());
}

#[test]
fn an_attempt_is_bounded_and_the_next_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let top = open_root(dir.path()).unwrap();
    fs::create_dir(dir.path().join("t")).unwrap();
    nest(&open_root(&dir.path().join("t")).unwrap(), 50);
    let bounds = Bounds { entries: 30, levels: MOST_LEVELS };
    let mut attempts = 1;
    while let Err(error) = remove_within(&top, b"t", bounds) {
        assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{error}");
        assert_eq!(error.to_string(), "30 entries were removed, more remain");
        attempts += 1;
    }
    assert_eq!(attempts, 4, "100 entries and the folder itself");
}

#[test]
fn folders_with_many_folders_are_emptied_too() {
    let dir = tempfile::tempdir().unwrap();
    for wide in 0..300 {
        nest(
            &open_root(
                {
                    let path = dir.path().join(format!("w{wide}"));
                    fs::create_dir(&path).unwrap();
                    path
                }
                .as_path(),
            )
            .unwrap(),
            20,
        );
    }
    empty_folder(dir.path()).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
