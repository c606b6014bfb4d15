//! Traverses directories of any depth by descriptors: without recursion or paths, and with few open files.
//!
//! Whoever fills a directory decides how deep it is. Only the deepest directories are kept open; one further up is
//! reopened through `..` and must be the one that was left.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, fstat, openat2, seek};
use rustix::io::Errno;

/// Most directories that are open at a time.
const OPEN: usize = 16;
/// Bytes of names per read.
const NAMES: usize = 32 << 10;

/// How file systems mounted below the top are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounts {
    /// They are not entered, including bind mounts of the same file system (`EXDEV`).
    Stay,
    /// They are part of the tree.
    Cross,
}

/// One entry of a directory.
#[derive(Debug)]
pub struct Entry {
    pub name: CString,
    /// Its type when the directory was read; some file systems do not report it.
    pub kind: FileType,
    /// The inode according to the directory; for a mount point, the one below the mount.
    pub inode: u64,
    before: u64,
    after: u64,
}

/// A directory on the way from the top to the current one.
struct Level {
    id: (u64, u64),
    /// Where reading continues if the directory has to be reopened.
    position: u64,
    /// The inode of the entry that was entered last.
    entered: Option<u64>,
}

struct Open {
    fd: OwnedFd,
    names: VecDeque<Entry>,
}

/// A position in a tree of directories.
pub struct Descent {
    mounts: Mounts,
    levels: Vec<Level>,
    /// The deepest levels, the deepest last.
    open: VecDeque<Open>,
}

/// Flags for opening directories.
pub fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn resolve(mounts: Mounts) -> ResolveFlags {
    let links = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if mounts == Mounts::Stay { links | ResolveFlags::NO_XDEV } else { links }
}

/// Opens a directory by its name in `parent` for reading. With [`Mounts::Stay`], not if it is a mount point.
///
/// `openat2` was added in Linux 5.6. An older kernel returns `ENOSYS`, so that no mount can be crossed.
pub fn open_folder(parent: impl AsFd, name: &CStr, mounts: Mounts) -> rustix::io::Result<OwnedFd> {
    openat2(parent, name, flags(), Mode::empty(), resolve(mounts))
}

fn id(fd: &OwnedFd) -> rustix::io::Result<(u64, u64)> {
    fstat(fd).map(|stat| (stat.st_dev, stat.st_ino))
}

impl Descent {
    /// Starts at an open directory.
    pub fn new(top: OwnedFd, mounts: Mounts) -> io::Result<Self> {
        let level = Level { id: id(&top)?, position: 0, entered: None };
        let open = VecDeque::from([Open { fd: top, names: VecDeque::new() }]);
        Ok(Self { mounts, levels: vec![level], open })
    }

    pub fn here(&self) -> io::Result<BorrowedFd<'_>> {
        self.open.back().map(|open| open.fd.as_fd()).ok_or_else(lost)
    }

    /// Number of levels below the top.
    pub fn depth(&self) -> usize {
        self.levels.len().saturating_sub(1)
    }

    /// The path of a name in this directory according to the kernel, for messages only.
    pub fn path_of(&self, name: &CStr) -> PathBuf {
        use std::os::fd::AsRawFd;
        use std::os::unix::ffi::OsStrExt;
        let here = self.here().ok().and_then(|fd| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok());
        let here = here.unwrap_or_else(|| PathBuf::from(format!("(a folder {} levels down)", self.depth())));
        here.join(std::ffi::OsStr::from_bytes(name.to_bytes()))
    }

    /// The next entry of this directory; `None` at its end. A directory that was removed meanwhile has none.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let (Some(open), Some(level)) = (self.open.back_mut(), self.levels.last_mut()) else { return Err(lost()) };
        loop {
            if let Some(entry) = open.names.pop_front() {
                level.position = entry.after;
                return Ok(Some(entry));
            }
            match read(open, &mut level.position) {
                Ok(true) => {}
                Ok(false) | Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Enters an entry of this directory. After leaving it, reading continues with the next one.
    pub fn enter(&mut self, entry: &Entry) -> rustix::io::Result<()> {
        let here = self.open.back().ok_or(Errno::BADF)?;
        let fd = open_folder(&here.fd, &entry.name, self.mounts)?;
        let id = id(&fd)?;
        if let Some(level) = self.levels.last_mut() {
            level.entered = Some(entry.inode);
        }
        self.levels.push(Level { id, position: 0, entered: None });
        self.open.push_back(Open { fd, names: VecDeque::new() });
        if self.open.len() > OPEN {
            self.open.pop_front();
        }
        Ok(())
    }

    /// Enters an entry of this directory. After leaving it, the same entry is read again, so that it can be removed.
    pub fn enter_to_return(&mut self, entry: Entry) -> rustix::io::Result<()> {
        self.enter(&entry)?;
        let above = self.levels.len().wrapping_sub(2);
        if let Some(level) = self.levels.get_mut(above) {
            level.position = entry.before;
        }
        let above = self.open.len().wrapping_sub(2);
        if let Some(open) = self.open.get_mut(above) {
            open.names.push_front(entry);
        }
        Ok(())
    }

    /// True if the entry is the one of this directory that was entered last.
    pub fn was_entered(&self, entry: &Entry) -> bool {
        self.levels.last().is_some_and(|level| level.entered == Some(entry.inode))
    }

    /// Goes up one level; false at the top. After an error the position in the tree is lost.
    pub fn leave(&mut self) -> io::Result<bool> {
        if self.levels.len() < 2 {
            return Ok(false);
        }
        self.levels.pop();
        let (Some(child), Some(level)) = (self.open.pop_back(), self.levels.last()) else { return Err(lost()) };
        if self.open.is_empty() {
            let parent = open_folder(&child.fd, c"..", self.mounts)?;
            if id(&parent)? != level.id {
                return Err(io::Error::other("a folder was moved while the tree was walked"));
            }
            seek(&parent, SeekFrom::Start(level.position))?;
            self.open.push_back(Open { fd: parent, names: VecDeque::new() });
        }
        Ok(true)
    }
}

/// Reads more names; false at the end.
fn read(open: &mut Open, position: &mut u64) -> rustix::io::Result<bool> {
    let mut buffer = [MaybeUninit::uninit(); NAMES];
    let mut names = RawDir::new(&open.fd, &mut buffer);
    let mut any = false;
    let mut before = *position;
    while let Some(entry) = names.next() {
        let entry = entry?;
        any = true;
        let after = entry.next_entry_cookie();
        if ![c".", c".."].contains(&entry.file_name()) {
            let (name, kind, inode) = (entry.file_name().to_owned(), entry.file_type(), entry.ino());
            open.names.push_back(Entry { name, kind, inode, before, after });
        }
        before = after;
        if names.is_buffer_empty() {
            break;
        }
    }
    *position = before;
    Ok(any)
}

fn lost() -> io::Error {
    io::Error::other("lost the position in the tree")
}

#[cfg(test)]
pub(crate) mod tests {
    use rustix::fs::{AtFlags, mkdirat, openat, renameat, unlinkat};

    use super::super::{beneath, removal};
    use super::*;

    /// Creates nested directories below an open one, each with an empty file beside the next.
    pub fn nest(top: &OwnedFd, levels: usize) {
        let mut here = openat(top, ".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..levels {
            openat(&here, "f", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o600)).unwrap();
            mkdirat(&here, "d", Mode::from_raw_mode(0o700)).unwrap();
            here = openat(&here, "d", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
    }

    fn begin(path: &std::path::Path) -> Descent {
        let top = rustix::fs::open(path, flags(), Mode::empty()).unwrap();
        Descent::new(top, Mounts::Stay).unwrap()
    }

    /// Goes down as far as possible.
    fn to_the_bottom(descent: &mut Descent) {
        while let Some(entry) = descent.next_entry().unwrap() {
            if entry.kind == FileType::Directory {
                descent.enter(&entry).unwrap();
            }
        }
    }

    #[test]
    fn few_folders_are_open_and_reading_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let root = beneath::open_root(dir.path()).unwrap();
        nest(&root, 100);
        for name in ["a", "z"] {
            nest(
                &openat(
                    &root,
                    {
                        mkdirat(&root, name, Mode::RWXU).unwrap();
                        name
                    },
                    OFlags::PATH,
                    Mode::empty(),
                )
                .unwrap(),
                40,
            );
        }
        let mut descent = begin(dir.path());
        let (mut names, mut deepest) = (0, 0);
        loop {
            match descent.next_entry().unwrap() {
                Some(entry) => {
                    names += 1;
                    if entry.kind == FileType::Directory {
                        descent.enter(&entry).unwrap();
                    }
                    deepest = deepest.max(descent.depth());
                    assert!(descent.open.len() <= OPEN);
                }
                None if descent.leave().unwrap() => {}
                None => break,
            }
        }
        assert_eq!((names, deepest), (100 * 2 + 2 + 2 * 40 * 2, 100));
    }

    #[test]
    fn a_folder_that_was_moved_away_leads_to_no_other_parent() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, other) = (dir.path().join("t"), dir.path().join("other"));
        std::fs::create_dir(&tree).unwrap();
        std::fs::create_dir(&other).unwrap();
        nest(&beneath::open_root(&tree).unwrap(), OPEN + 4);
        let mut descent = begin(&tree);
        to_the_bottom(&mut descent);
        // `d/d` is moved elsewhere, with everything below it, including the current directory.
        let (from, to) = (beneath::open_root(&tree.join("d")).unwrap(), beneath::open_root(&other).unwrap());
        renameat(&from, "d", &to, "d").unwrap();
        let mut left = Ok(true);
        while let Ok(true) = left {
            left = descent.leave();
        }
        assert_eq!(left.unwrap_err().to_string(), "a folder was moved while the tree was walked");
        removal::remove_tree(&tree).unwrap();
    }

    #[test]
    fn an_entry_that_was_entered_to_return_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        nest(&beneath::open_root(dir.path()).unwrap(), OPEN * 3);
        let mut descent = begin(dir.path());
        let mut removed = 0;
        loop {
            match descent.next_entry().unwrap() {
                Some(entry) if entry.kind == FileType::Directory => {
                    match unlinkat(descent.here().unwrap(), &entry.name, AtFlags::REMOVEDIR) {
                        Ok(()) => removed += 1,
                        Err(_) if descent.was_entered(&entry) => panic!("it was emptied"),
                        Err(_) => descent.enter_to_return(entry).unwrap(),
                    }
                }
                Some(file) => unlinkat(descent.here().unwrap(), &file.name, AtFlags::empty()).unwrap(),
                None if descent.leave().unwrap() => {}
                None => break,
            }
        }
        assert_eq!((removed, std::fs::read_dir(dir.path()).unwrap().count()), (OPEN * 3, 0));
    }
}
