//! A walk through a whole tree whose content may be hostile: links in it are not followed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

/// What is done with each entry, a handle without any right (`O_PATH`) and what was seen of it; false ends the walk.
pub type Visit<'a> = &'a dyn Fn(&OwnedFd, &Stat) -> io::Result<bool>;

/// Visits everything below, then the root itself: a run that is cut short does not look finished. True when no visit
/// ended it. Entries that go meanwhile are passed over.
pub fn walk(root: &OwnedFd, visit: Visit<'_>) -> io::Result<bool> {
    let stat = fstat(root)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let dir = openat(root, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            match openat(&dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
                Ok(child) => {
                    if !walk(&child, visit)? {
                        return Ok(false);
                    }
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    visit(root, &stat)
}
