//! Traverses a whole tree whose content may be hostile: links are not followed, and any depth is supported.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

use super::descent::{Descent, Mounts};

/// Called for each entry, with a handle that may have no access rights (`O_PATH`) and its status; false stops the walk.
pub type Visit<'a> = &'a dyn Fn(BorrowedFd<'_>, &Stat) -> io::Result<bool>;

/// Visits everything below, then the root itself, so that an interrupted run does not look complete. True if no visit
/// stopped it. Entries that disappear meanwhile are skipped; mounts below are part of the tree.
pub fn walk(root: &OwnedFd, visit: Visit<'_>) -> io::Result<bool> {
    let stat = fstat(root)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return visit(root.as_fd(), &stat);
    }
    let top = openat(root, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut descent = Descent::new(top, Mounts::Cross)?;
    loop {
        let Some(entry) = descent.next_entry()? else {
            let here = descent.here()?;
            if !visit(here, &fstat(here)?)? {
                return Ok(false);
            }
            if !descent.leave()? {
                return Ok(true);
            }
            continue;
        };
        if entry.kind == FileType::Directory || entry.kind == FileType::Unknown {
            match descent.enter(&entry) {
                Ok(()) => continue,
                // It disappeared, or is no directory any more: it is visited as what it is now.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(descent.here()?, &entry.name, flags, Mode::empty()) {
            Ok(child) => {
                if !visit(child.as_fd(), &fstat(&child)?)? {
                    return Ok(false);
                }
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::descent::tests::nest;
    use super::super::{beneath, removal};
    use super::*;

    #[test]
    fn each_entry_of_a_deep_tree_is_visited_once_and_the_root_last() {
        let dir = tempfile::tempdir().unwrap();
        let root = beneath::open_root(dir.path()).unwrap();
        nest(&root, 8_000);
        let (visits, last) = (Cell::new(0), Cell::new(0));
        let all = walk(&root, &|_, stat| {
            visits.set(visits.get() + 1);
            last.set(stat.st_ino);
            Ok(true)
        });
        assert!(all.unwrap());
        assert_eq!(visits.get(), 16_001, "a folder and a file on each level, and the root");
        assert_eq!(last.get(), fstat(&root).unwrap().st_ino);
        assert!(!walk(&root, &|_, _| Ok(false)).unwrap());
        removal::remove_tree(dir.path()).unwrap();
    }
}
