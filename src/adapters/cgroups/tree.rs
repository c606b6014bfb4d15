//! Operations on a cgroup and everything below it. A container that may create cgroups decides how deep they are
//! nested.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use crate::adapters::fs::descent::{self, Descent, Mounts};
use crate::core::model::with_causes;

/// Opens a cgroup; `None` if it does not exist.
fn begin(dir: &Path) -> io::Result<Option<Descent>> {
    match rustix::fs::open(dir, descent::flags(), Mode::empty()) {
        Ok(top) => Descent::new(top, Mounts::Stay).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes a cgroup and everything below it. "Not found" is success.
pub fn remove(dir: &Path) -> io::Result<()> {
    let Some(mut descent) = begin(dir)? else { return Ok(()) };
    loop {
        match descent.next_entry()? {
            Some(entry) if entry.kind == FileType::Directory => {
                match unlinkat(descent.here()?, &entry.name, AtFlags::REMOVEDIR) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    // It contains cgroups or processes.
                    Err(Errno::BUSY | Errno::NOTEMPTY) if !descent.was_entered(&entry) => {
                        match descent.enter_to_return(entry) {
                            Ok(()) | Err(Errno::NOENT) => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            // The files of a cgroup are removed with it.
            Some(_) => {}
            None if descent.leave()? => {}
            None => break,
        }
    }
    match rustix::fs::rmdir(dir) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Visits a cgroup and everything below it, parents first.
fn each(dir: &Path, visit: &mut dyn FnMut(BorrowedFd<'_>)) -> io::Result<()> {
    let Some(mut descent) = begin(dir)? else { return Ok(()) };
    visit(descent.here()?);
    loop {
        match descent.next_entry()? {
            Some(entry) if entry.kind == FileType::Directory => {
                if descent.enter(&entry).is_ok() {
                    visit(descent.here()?);
                }
            }
            Some(_) => {}
            None if descent.leave()? => {}
            None => return Ok(()),
        }
    }
}

fn read(cgroup: BorrowedFd<'_>, file: &str) -> io::Result<String> {
    let mut text = String::new();
    let file = openat(cgroup, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    File::from(file).read_to_string(&mut text)?;
    Ok(text)
}

/// Thaws frozen cgroups from the top, because a cgroup stays frozen as long as a parent is.
pub fn thaw(dir: &Path) {
    let mut thaw = |cgroup: BorrowedFd<'_>| {
        if read(cgroup, "freezer.state").is_ok_and(|text| text.trim() != "THAWED") {
            tracing::warn!(dir = %dir.display(), "thawing a frozen cgroup of a pod");
            let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
            let state = openat(cgroup, "freezer.state", flags, Mode::empty()).map_err(io::Error::from);
            if let Err(error) = state.and_then(|state| File::from(state).write_all(b"THAWED")) {
                tracing::warn!(dir = %dir.display(), error = with_causes(&error), "not thawed");
            }
        }
    };
    if let Err(error) = each(dir, &mut thaw) {
        tracing::warn!(dir = %dir.display(), error = with_causes(&error), "not all cgroups of a pod could be read");
    }
}

/// Collects the processes in a cgroup and below it.
pub fn processes(dir: &Path, found: &mut BTreeSet<i32>) {
    let mut collect = |cgroup: BorrowedFd<'_>| {
        let text = read(cgroup, "cgroup.procs").unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.trim().parse::<i32>().ok()));
    };
    if let Err(error) = each(dir, &mut collect) {
        tracing::warn!(dir = %dir.display(), error = with_causes(&error), "not all cgroups of a pod could be read");
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::mkdirat;

    use super::*;
    use crate::adapters::fs::beneath::open_root;

    /// Nested cgroups, the innermost with a process.
    fn nest(dir: &Path, levels: usize) {
        let mut here = open_root(dir).unwrap();
        for _ in 0..levels {
            mkdirat(&here, "g", Mode::RWXU).unwrap();
            here = openat(&here, "g", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let procs = openat(&here, "cgroup.procs", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        File::from(procs).write_all(b"77\n").unwrap();
    }

    #[test]
    fn cgroups_of_any_depth_are_searched_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let pod = dir.path().join("pod");
        std::fs::create_dir(&pod).unwrap();
        nest(&pod, 8_000);
        let mut found = BTreeSet::new();
        processes(&pod, &mut found);
        assert_eq!(found, BTreeSet::from([77]), "below the longest path");
        assert!(remove(&pod).is_err(), "files of a cgroup cannot be removed, and these are no cgroups");
        crate::adapters::fs::removal::remove_tree(&pod).unwrap();

        std::fs::create_dir_all(pod.join("a/b")).unwrap();
        std::fs::create_dir_all(pod.join("c")).unwrap();
        remove(&pod).unwrap();
        remove(&pod).unwrap();
        assert!(!pod.exists());
    }
}
