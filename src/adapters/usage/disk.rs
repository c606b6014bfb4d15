//! Usage of file systems by `statvfs`, of directories by walking them, with a cache for expensive walks.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxAttributes, StatxFlags, statx};
use rustix::io::Errno;

use crate::adapters::fs::descent::{Descent, Mounts};
use crate::core::model::usage::FsUsage;
use crate::core::model::with_causes;

/// How long a cached directory size is used unless configured otherwise.
const BELIEVED: Duration = Duration::from_secs(60);
/// A large directory is measured again only after one second per this many entries, so that no pod keeps the kubelet
/// busy.
const ENTRIES_PER_SECOND: u64 = 10_000;
/// Number of consecutive incomplete counts of a directory after which everything that may belong to it is counted.
const ATTEMPTS: u32 = 3;

/// Limits of counting a directory.
#[derive(Clone, Copy)]
struct Bounds {
    entries: u64,
    levels: usize,
}

const BOUNDS: Bounds = Bounds { entries: 1_000_000, levels: 100_000 };

/// Disk usage of a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes on disk, not the apparent size.
    pub bytes: u64,
    /// Inodes; a file with several names counts once.
    pub inodes: u64,
}

impl Taken {
    fn most(self, other: Self) -> Self {
        Self { bytes: self.bytes.max(other.bytes), inodes: self.inodes.max(other.inodes) }
    }
}

/// What is cached about a directory.
#[derive(Debug)]
struct Known {
    taken: Taken,
    at: Instant,
    /// Number of consecutive incomplete counts.
    cut_short: u32,
}

impl Known {
    fn is_believed(&self, fresh: bool, believed: Duration) -> bool {
        let of_size = Duration::from_secs(self.taken.inodes.min(BOUNDS.entries) / ENTRIES_PER_SECOND);
        self.at.elapsed() < if fresh { of_size } else { of_size.max(believed) }
    }
}

/// Sizes of directories, cached for a while.
#[derive(Debug)]
pub struct Directories {
    known: Mutex<HashMap<PathBuf, Known>>,
    believed: Duration,
}

impl Default for Directories {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Directories {
    /// A cache whose entries are valid this long; a minute by default.
    pub fn new(believed: Option<Duration>) -> Self {
        Self { known: Mutex::default(), believed: believed.unwrap_or(BELIEVED) }
    }

    /// The usage of a directory; `fresh` bypasses the cache, unless the directory is large. Mounts below it are not
    /// counted.
    ///
    /// What cannot be counted counts against the pod: at the third consecutive attempt that finds more than a million
    /// entries, directories deeper than a hundred thousand levels or something unreadable, the directory is assumed to
    /// use everything that is used on its file system. That is the only upper bound that is certainly true.
    pub fn taken(&self, path: &Path, fresh: bool) -> Taken {
        self.count(path, fresh, BOUNDS)
    }

    fn count(&self, path: &Path, fresh: bool, bounds: Bounds) -> Taken {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = (Taken::default(), 0);
        if let Some(known) = lock().get(path) {
            let is_settled = known.cut_short == 0 || known.cut_short >= ATTEMPTS;
            if is_settled && known.is_believed(fresh, self.believed) {
                return known.taken;
            }
            before = (known.taken, known.cut_short);
        }
        let (counted, fault) = count(path, bounds);
        let (mut taken, mut cut_short) = (counted, 0);
        if let Some(error) = fault {
            cut_short = before.1.saturating_add(1);
            taken = counted.most(before.0);
            if cut_short >= ATTEMPTS {
                let all = file_system(path).map(|fs| Taken {
                    bytes: fs.used_bytes.unwrap_or(u64::MAX),
                    inodes: fs.inodes_used.unwrap_or(u64::MAX),
                });
                taken = taken.most(all.unwrap_or(Taken { bytes: u64::MAX, inodes: u64::MAX }));
            }
            tracing::warn!(path = %path.display(), error = with_causes(&error), attempt = cut_short, "the usage of a directory was not fully counted");
        }
        let mut known = lock();
        known.retain(|_, known| known.is_believed(false, self.believed));
        known.insert(path.to_owned(), Known { taken, at: Instant::now(), cut_short });
        taken
    }
}

/// Counts a directory; the error says why it is incomplete.
fn count(root: &Path, bounds: Bounds) -> (Taken, Option<io::Error>) {
    let mut count = Count { taken: Taken::default(), linked: HashSet::new() };
    let outcome = count.walk(root, bounds);
    (count.taken, outcome.err().filter(|error| count.taken.inodes > 0 || error.kind() != io::ErrorKind::NotFound))
}

struct Count {
    taken: Taken,
    /// Files with several names that were counted already.
    linked: HashSet<(u32, u32, u64)>,
}

impl Count {
    /// By descriptors: the length of a path is limited, and the depth of a tree is not.
    fn walk(&mut self, root: &Path, bounds: Bounds) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let top = rustix::fs::open(root, flags, Mode::empty())?;
        self.add(&statx(&top, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?);
        let mut descent = Descent::new(top, Mounts::Stay)?;
        loop {
            let Some(entry) = descent.next_entry()? else {
                if descent.leave()? {
                    continue;
                }
                return Ok(());
            };
            let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
            let stat = match statx(descent.here()?, &entry.name, flags, StatxFlags::BASIC_STATS) {
                // Entries may disappear while they are counted.
                Err(Errno::NOENT) => continue,
                other => other?,
            };
            if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) || !self.add(&stat) {
                continue;
            }
            if self.taken.inodes > bounds.entries {
                return Err(io::Error::other(format!("more than {} entries", bounds.entries)));
            }
            if FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory {
                if descent.depth() >= bounds.levels {
                    return Err(io::Error::other(format!("folders deeper than {}", bounds.levels)));
                }
                match descent.enter(&entry) {
                    // Removed, replaced, or mounted over meanwhile.
                    Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    /// False for a file that was counted by another of its names.
    fn add(&mut self, stat: &Statx) -> bool {
        let is_dir = FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory;
        let file = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
        if stat.stx_nlink > 1 && !is_dir && !self.linked.insert(file) {
            return false;
        }
        self.taken.bytes = self.taken.bytes.saturating_add(stat.stx_blocks.saturating_mul(512));
        self.taken.inodes = self.taken.inodes.saturating_add(1);
        true
    }
}

/// The file system that contains a path, with everything that is used on it.
pub fn file_system(path: &Path) -> Option<FsUsage> {
    let found = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(FsUsage {
        time: Timestamp::now(),
        available_bytes: Some(bytes(found.f_bavail)),
        capacity_bytes: Some(bytes(found.f_blocks)),
        used_bytes: Some(bytes(found.f_blocks.saturating_sub(found.f_bfree))),
        inodes_free: Some(found.f_ffree),
        inodes: Some(found.f_files),
        inodes_used: Some(found.f_files.saturating_sub(found.f_ffree)),
    })
}

/// The part of a file system that one thing on it uses.
pub fn share(fs: FsUsage, taken: Taken) -> FsUsage {
    FsUsage { used_bytes: Some(taken.bytes), inodes_used: Some(taken.inodes), ..fs }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::openat;

    use super::*;
    use crate::adapters::fs::descent::tests::nest;
    use crate::adapters::fs::{beneath, removal};

    #[test]
    fn what_lies_below_the_longest_path_is_counted() {
        let root = tempfile::tempdir().unwrap();
        let top = beneath::open_root(root.path()).unwrap();
        nest(&top, 2_500);
        let mut here = top;
        for _ in 0..2_500 {
            here = openat(&here, "d", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let flags = OFlags::CREATE | OFlags::WRONLY;
        let big = openat(&here, "big", flags, Mode::RUSR).unwrap();
        rustix::io::write(&big, &vec![1; 1 << 20]).unwrap();
        let taken = Directories::default().taken(root.path(), true);
        assert_eq!(taken.inodes, 1 + 2 * 2_500 + 1);
        assert!(taken.bytes >= 1 << 20, "{taken:?}");
        removal::remove_tree(root.path()).unwrap();
    }

    #[test]
    fn what_is_not_counted_to_its_end_counts_as_all_that_is_in_use() {
        let root = tempfile::tempdir().unwrap();
        nest(&beneath::open_root(root.path()).unwrap(), 20);
        for bounds in [Bounds { entries: 10, ..BOUNDS }, Bounds { levels: 5, ..BOUNDS }] {
            let directories = Directories::default();
            let few = directories.count(root.path(), true, bounds);
            assert!((2..=13).contains(&few.inodes), "{few:?}");
            assert_eq!(directories.count(root.path(), false, bounds), few, "what is not whole is not believed");
            let all = directories.count(root.path(), true, bounds);
            assert!(all.inodes > few.inodes && all.bytes > few.bytes, "{all:?}");
            let in_use = file_system(root.path()).unwrap().inodes_used.unwrap();
            assert!(all.inodes * 2 > in_use, "{all:?} of {in_use}");
        }
        let directories = Directories::default();
        let whole = directories.count(root.path(), true, BOUNDS);
        let bounds = Bounds { entries: 10, ..BOUNDS };
        assert_eq!(directories.count(root.path(), true, bounds), whole, "not less than was known");
        for _ in 0..ATTEMPTS {
            directories.count(root.path(), true, bounds);
            assert_eq!(directories.count(root.path(), true, BOUNDS), whole, "attempts count in a row");
        }
    }

    #[test]
    fn sparse_files_count_what_they_have_on_disk() {
        let root = tempfile::tempdir().unwrap();
        fs::File::create(root.path().join("hole")).unwrap().set_len(1 << 40).unwrap();
        assert!(Directories::default().taken(root.path(), true).bytes < 1 << 20);
    }

    #[test]
    fn a_directory_is_walked_once_a_minute_and_counts_links_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("a/file"), vec![1; 10_000]).unwrap();
        fs::hard_link(root.path().join("a/file"), root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/", root.path().join("a/out")).unwrap();
        let directories = Directories::default();
        let taken = directories.taken(root.path(), false);
        assert_eq!(taken.inodes, 4, "two directories, one file, one symbolic link");
        assert!((10_000..200_000).contains(&taken.bytes), "{taken:?}");
        fs::write(root.path().join("more"), "x").unwrap();
        assert_eq!(directories.taken(root.path(), false), taken);
        assert_eq!(directories.taken(root.path(), true).inodes, 5);
        assert_eq!(directories.taken(Path::new("/nowhere/at/all"), false), Taken::default());
    }
}
