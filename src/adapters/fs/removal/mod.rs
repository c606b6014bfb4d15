//! The only implementation of removing directories: by descriptors, not following links, not entering mounts, at any
//! depth.
//!
//! It does not depend on the mount table: `openat2` with `RESOLVE_NO_XDEV` does not enter mounts, including bind mounts
//! of the same file system, and the kernel does not unlink a mount point (`EBUSY`). The same holds for what appears or
//! is swapped during a removal.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::beneath::open_root;
use super::descent::{self, Descent, Entry, Mounts, open_folder};

/// Most entries that one attempt removes. A process that keeps writing into a directory must not occupy a thread
/// forever; a repeated attempt continues where this one stopped.
const MOST_ENTRIES: u64 = 1_000_000;
/// Number of failed entries after which an attempt stops.
const MOST_STUCK: usize = 10_000;
/// Most levels below the top; deeper directories are first moved up to the top.
const MOST_LEVELS: usize = 100_000;

/// Removes a directory, or a file, and everything in it. "Not found" is success.
///
/// # Errors
/// The first entry that could not be removed, with its path; the others are removed anyway. A mount point in the tree
/// is such an entry. Also if entries remain after a million were removed ([`io::ErrorKind::Interrupted`]).
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no folder to remove"));
    };
    match open_root(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(parent) => remove_tree_at(&parent, name.as_bytes()),
    }
}

/// Like [`remove_tree`], for a name in an open directory.
pub fn remove_tree_at(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    remove_within(parent, name, Bounds { entries: MOST_ENTRIES, levels: MOST_LEVELS })
}

#[derive(Clone, Copy)]
struct Bounds {
    entries: u64,
    levels: usize,
}

fn remove_within(parent: impl AsFd, name: &[u8], bounds: Bounds) -> io::Result<()> {
    let name = CString::new(name)?;
    match unlinkat(&parent, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(explain(error)),
    }
    match open_folder(&parent, &name, Mounts::Stay) {
        Ok(folder) => clear(&folder, bounds)?,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(explain(error)),
    }
    match unlinkat(&parent, &name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(explain(error)),
    }
}

/// Removes everything in a directory, however much it is; the directory itself stays, and its path may contain links.
///
/// # Errors
/// As for [`remove_tree`].
pub fn empty_folder(path: &Path) -> io::Result<()> {
    let folder = openat(open_root(path)?, c".", descent::flags(), Mode::empty())?;
    clear(&folder, Bounds { entries: u64::MAX, levels: MOST_LEVELS })
}

/// Progress of an attempt.
#[derive(Default)]
struct Attempt {
    removed: u64,
    /// Number of directories that were too deep and were moved to the top.
    moved: u64,
    /// Entries that are skipped because they could not be removed.
    stuck: HashSet<u64>,
    fault: Option<io::Error>,
}

impl Attempt {
    /// The first fault is kept: later ones are often consequences, such as a directory that is not empty.
    fn note(&mut self, descent: &Descent, inode: u64, name: &CStr, cause: io::Error) {
        self.stuck.insert(inode);
        self.fault.get_or_insert_with(|| {
            let path = descent.path_of(name);
            io::Error::new(cause.kind(), format!("{}: {cause}", path.display()))
        });
    }
}

fn clear(top: &OwnedFd, bounds: Bounds) -> io::Result<()> {
    let mut attempt = Attempt::default();
    loop {
        let moved = attempt.moved;
        pass(top, bounds, &mut attempt)?;
        // Entries that were moved to the top may be before the position that was read.
        if attempt.moved == moved || attempt.fault.is_some() {
            return attempt.fault.map_or(Ok(()), Err);
        }
    }
}

/// Traverses the tree once.
fn pass(top: &OwnedFd, bounds: Bounds, attempt: &mut Attempt) -> io::Result<()> {
    let mut descent = Descent::new(open_folder(top, c".", Mounts::Stay)?, Mounts::Stay)?;
    loop {
        match descent.next_entry() {
            Ok(Some(entry)) if attempt.stuck.contains(&entry.inode) => {}
            Ok(Some(entry)) if descent.depth() >= bounds.levels && entry.kind == FileType::Directory => {
                move_up(&descent, &entry, top, attempt);
            }
            Ok(Some(entry)) => remove_entry(&mut descent, entry, attempt)?,
            end => {
                // If a directory cannot be read, removing it from its parent fails because it is not empty.
                if let Err(error) = end {
                    attempt.fault.get_or_insert(error);
                }
                if !descent.leave()? {
                    return Ok(());
                }
            }
        }
        if attempt.stuck.len() > MOST_STUCK {
            return Ok(());
        }
        if attempt.removed >= bounds.entries {
            let text = format!("{} entries were removed, more remain", bounds.entries);
            return Err(attempt.fault.take().unwrap_or_else(|| io::Error::new(io::ErrorKind::Interrupted, text)));
        }
    }
}

/// Moves a directory that is too deep to the top, under a free name.
fn move_up(descent: &Descent, entry: &Entry, top: &OwnedFd, attempt: &mut Attempt) {
    let moved = loop {
        attempt.moved = attempt.moved.saturating_add(1);
        let free = format!(".roost-deep-{}", attempt.moved);
        let moved = descent
            .here()
            .and_then(|here| Ok(renameat_with(here, &entry.name, top, free.as_str(), RenameFlags::NOREPLACE)?));
        match moved {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => break other,
        }
    };
    if let Err(error) = moved {
        attempt.note(descent, entry.inode, &entry.name, error);
    }
}

/// Removes one entry, or enters it. An error stops the attempt.
fn remove_entry(descent: &mut Descent, entry: Entry, attempt: &mut Attempt) -> io::Result<()> {
    let here = descent.here()?;
    let is_dir = entry.kind == FileType::Directory;
    let outcome = match unlinkat(here, &entry.name, if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() }) {
        // The file system did not report its type, or it was replaced meanwhile.
        Err(Errno::ISDIR) => unlinkat(here, &entry.name, AtFlags::REMOVEDIR),
        Err(Errno::NOTDIR) => unlinkat(here, &entry.name, AtFlags::empty()),
        other => other,
    };
    let (inode, name) = (entry.inode, entry.name.clone());
    match outcome {
        Ok(()) => attempt.removed = attempt.removed.saturating_add(1),
        Err(Errno::NOENT) => {}
        Err(Errno::NOTEMPTY | Errno::EXIST) if descent.was_entered(&entry) => {
            let cause =
                io::Error::new(io::ErrorKind::DirectoryNotEmpty, "still not empty after its content was removed");
            attempt.note(descent, inode, &name, cause);
        }
        Err(Errno::NOTEMPTY | Errno::EXIST) => match descent.enter_to_return(entry) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => attempt.note(descent, inode, &name, explain(error)),
        },
        Err(error) => attempt.note(descent, inode, &name, explain(error)),
    }
    Ok(())
}

/// Translates a kernel error of a removal.
pub(super) fn explain(error: Errno) -> io::Error {
    let text = match error {
        Errno::XDEV | Errno::BUSY => "is a mount point; nothing in it is removed",
        Errno::NOSYS => "not removed: the kernel has no openat2 (Linux 5.6), and a mount could be crossed",
        other => return other.into(),
    };
    io::Error::new(io::Error::from(error).kind(), text)
}

#[cfg(test)]
mod tests;
