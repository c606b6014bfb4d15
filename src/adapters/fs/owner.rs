//! The owner of a whole tree. Its content may be hostile: a user who owned it may have created links in it.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chownat, openat};
use rustix::io::Errno;

use super::tree::{self, Visit};
use crate::ports::bootstrap::Owner;

/// True if everything belongs to the owner, or there is no such directory.
pub fn tree_belongs_to(path: &Path, owner: Owner) -> io::Result<bool> {
    walk(path, &|_, stat| Ok(stat.st_uid == owner.user && stat.st_gid == owner.group))
}

/// Changes the owner of everything.
pub fn give_tree_to(path: &Path, owner: Owner) -> io::Result<()> {
    walk(path, &|entry, _| {
        let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
        chownat(entry, "", Some(user), Some(group), AtFlags::EMPTY_PATH)?;
        Ok(true)
    })
    .map(drop)
}

/// The directory itself may be behind a link created by the administrator.
fn walk(path: &Path, visit: Visit<'_>) -> io::Result<bool> {
    match openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(handle) => tree::walk(&handle, visit),
        Err(Errno::NOENT) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_tree_changes_hands_and_nothing_behind_its_links_does() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("t"), dir.path().join("outside"));
        fs::create_dir_all(tree.join("member/snap")).unwrap();
        fs::write(tree.join("member/snap/db"), "").unwrap();
        fs::write(&outside, "").unwrap();
        symlink(&outside, tree.join("member/link")).unwrap();
        let own = Owner { user: rustix::process::getuid().as_raw(), group: rustix::process::getgid().as_raw() };
        assert!(tree_belongs_to(&tree, own).unwrap());
        assert!(tree_belongs_to(&dir.path().join("none"), own).unwrap());
        let other = Owner { user: own.user + 7, group: own.group + 7 };
        assert!(!tree_belongs_to(&tree, other).unwrap());
        if !rustix::process::geteuid().is_root() {
            return; // only root gives files away
        }
        give_tree_to(&tree, other).unwrap();
        assert!(tree_belongs_to(&tree, other).unwrap());
        assert_eq!(fs::metadata(&outside).unwrap().uid(), own.user);
        assert_eq!(fs::symlink_metadata(tree.join("member/link")).unwrap().uid(), other.user);
        std::os::unix::fs::chown(tree.join("member/snap/db"), Some(own.user), None).unwrap();
        assert!(!tree_belongs_to(&tree, other).unwrap(), "every file counts");
        give_tree_to(&tree, own).unwrap();
        assert!(tree_belongs_to(&tree, own).unwrap());
    }
}
