//! Free space of a file system, and how long small writes take to be on its disk.

#![expect(clippy::disallowed_methods, reason = "for programs that end")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use crate::core::model::preflight::DiskState;

/// Size of a write to etcd's log, bytes: that of etcd's own recommendation for measuring a disk (`fio --bs=2300`).
const WRITE: usize = 2300;
/// Number of writes that are measured.
const WRITES: usize = 30;
/// Bound of the whole measurement; a disk that is as slow has been found out.
const LONGEST: Duration = Duration::from_secs(3);

/// The file system that `path` is on, or will be; `None` if it cannot be read.
pub(super) fn observe(path: &Path, measure: bool) -> Option<DiskState> {
    let existing = path.ancestors().find(|folder| folder.is_dir())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    Some(DiskState {
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        size: stat.f_blocks.saturating_mul(stat.f_frsize),
        sync: if measure { latency(existing) } else { None },
    })
}

/// The time within which nine of ten writes are on the disk; `None` if nothing can be written. The file has no name, so
/// nothing of it stays.
fn latency(folder: &Path) -> Option<Duration> {
    let file = rustix::fs::open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    let mut file = File::from(file.ok()?);
    let begun = Instant::now();
    let mut taken: Vec<Duration> = Vec::with_capacity(WRITES);
    while taken.len() < WRITES && begun.elapsed() < LONGEST {
        let began = Instant::now();
        file.write_all(&[0; WRITE]).and_then(|()| file.sync_data()).ok()?;
        taken.push(began.elapsed());
    }
    taken.sort();
    let ninth = taken.len().saturating_mul(9).checked_div(10)?;
    taken.get(ninth.min(taken.len().saturating_sub(1))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_is_on_the_disk_of_its_parent_and_nothing_is_left_there() {
        let folder = tempfile::tempdir().unwrap();
        let disk = observe(&folder.path().join("etcd/data"), true).unwrap();
        assert!(disk.size > 0 && disk.free <= disk.size, "{disk:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
