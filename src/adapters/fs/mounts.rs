//! Mounts of the node: what is mounted, and mounting and unmounting for volumes.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

/// Mount points at or below `directory`, newest first: the order in which they can be unmounted.
///
/// Reads mountinfo only, so a dead network mount cannot block it.
pub fn mounts_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let table = fs::read("/proc/self/mountinfo")?;
    let mut found: Vec<PathBuf> = parse_mount_points(&table).filter(|p| p.starts_with(directory)).collect();
    found.reverse();
    Ok(found)
}

fn parse_mount_points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    let lines = table.split(|b| *b == b'\n');
    lines.filter_map(|line| Some(unescape(line.split(|b| *b == b' ').nth(4)?)))
}

/// The kernel writes space, tab, newline and backslash as `\ooo`.
fn unescape(text: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        match (first, octal) {
            (b'\\', Some(byte)) => {
                out.push(byte);
                rest = &tail[3..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(out))
}

/// Whether something is mounted exactly at `path`; false for a path that is not there.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::TYPE) {
        Ok(stat) => Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Mounts a tmpfs of at most `size` bytes, kept out of swap where the kernel can (6.4).
pub fn mount_tmpfs(target: &Path, size: Option<u64>) -> io::Result<()> {
    let size = size.map(|bytes| format!("size={bytes}"));
    let options = |noswap: bool| {
        let parts: Vec<&str> = size.as_deref().into_iter().chain(noswap.then_some("noswap")).collect();
        CString::new(parts.join(","))
    };
    let mount = |noswap| -> io::Result<()> {
        let data = options(noswap)?;
        Ok(rustix::mount::mount("tmpfs", target, "tmpfs", MountFlags::empty(), data.as_c_str())?)
    };
    match mount(true) {
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => mount(false),
        other => other,
    }
}

/// Mounts huge pages of `page_size` bytes.
pub fn mount_huge_pages(target: &Path, page_size: u64) -> io::Result<()> {
    let data = CString::new(format!("pagesize={page_size}"))?;
    Ok(rustix::mount::mount("nodev", target, "hugetlbfs", MountFlags::empty(), data.as_c_str())?)
}

/// Binds what `source` is a handle of onto `target`; the kernel sees the handle, not a path that could change.
pub fn bind(source: impl AsFd, target: &Path) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", source.as_fd().as_raw_fd());
    Ok(rustix::mount::mount_bind(path, target)?)
}

/// Makes an existing bind mount read-only.
pub fn make_read_only(target: &Path) -> io::Result<()> {
    Ok(rustix::mount::mount_remount(target, MountFlags::BIND | MountFlags::RDONLY, c"")?)
}

/// Unmounts what is mounted last at `target`; busy mounts are detached. Nothing mounted is success.
pub fn unmount(target: &Path) -> io::Result<()> {
    match rustix::mount::unmount(target, UnmountFlags::NOFOLLOW) {
        Err(Errno::BUSY) => Ok(rustix::mount::unmount(target, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)?),
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes mounts below `directory` visible in containers that ask for it: a shared mount of its own if need be.
pub fn make_shared(directory: &Path) -> io::Result<()> {
    if !is_mount_point(directory)? {
        if is_shared(&fs::read("/proc/self/mountinfo")?, directory) {
            return Ok(());
        }
        rustix::mount::mount_bind_recursive(directory, directory)?;
    }
    Ok(rustix::mount::mount_change(directory, MountPropagationFlags::SHARED | MountPropagationFlags::REC)?)
}

/// Whether the mount that `path` is on propagates.
fn is_shared(table: &[u8], path: &Path) -> bool {
    let mut best: Option<(usize, bool)> = None;
    for line in table.split(|b| *b == b'\n') {
        let mut fields = line.split(|b| *b == b' ');
        let Some(point) = fields.nth(4).map(unescape) else { continue };
        let shared = fields.skip(1).take_while(|f| *f != b"-").any(|f| f.starts_with(b"shared:"));
        let depth = point.components().count();
        if path.starts_with(&point) && best.is_none_or(|(d, _)| depth >= d) {
            best = Some((depth, shared));
        }
    }
    best.is_some_and(|(_, shared)| shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"20 1 8:1 / / rw shared:1 - ext4 /dev/a rw\n\
        21 20 0:5 / /var/lib/x rw - tmpfs tmpfs rw\n\
        22 20 0:6 / /var/lib/x/a\\040b rw shared:2 - tmpfs tmpfs rw\n";

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let points: Vec<_> = parse_mount_points(TABLE).collect();
        assert_eq!(points, [Path::new("/"), Path::new("/var/lib/x"), Path::new("/var/lib/x/a b")]);
    }

    #[test]
    fn the_closest_mount_decides_about_propagation() {
        assert!(is_shared(TABLE, Path::new("/var/lib")));
        assert!(!is_shared(TABLE, Path::new("/var/lib/x/c")));
        assert!(is_shared(TABLE, Path::new("/var/lib/x/a b/c")));
    }
}
