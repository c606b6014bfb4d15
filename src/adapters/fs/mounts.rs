//! Mounts of the node: lists, mounts and unmounts for volumes.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, openat2, statx};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::folder::resolved;

const TABLE: &str = "/proc/self/mountinfo";
/// Components of a path that are opened at a time: 15 names of 255 bytes are shorter than `PATH_MAX`.
const PIECE: usize = 15;

/// A mount in this mount namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The mount id, as `statx` returns it (`STATX_MNT_ID`).
    id: u64,
    pub(crate) point: PathBuf,
}

/// Whether a mount at the directory itself is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// It is unmounted as well.
    Too,
    /// Only mounts below it are unmounted.
    Stays,
}

/// Mount points at or below `directory`, newest first: the order in which they can be unmounted. Links in the path are
/// followed.
///
/// Only mountinfo is read, so a dead network mount cannot block this.
pub fn mounts_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = match fs::canonicalize(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => directory.to_owned(),
        other => other?,
    };
    Ok(found_below(&directory, Top::Too)?.into_iter().map(|mount| mount.point).collect())
}

fn found_below(directory: &Path, top: Top) -> io::Result<Vec<Mount>> {
    let table = fs::read(TABLE)?;
    let is_below = |mount: &Mount| mount.point.starts_with(directory) && (top == Top::Too || mount.point != directory);
    let mut found: Vec<Mount> = parse_mounts(&table).filter(is_below).collect();
    found.reverse();
    Ok(found)
}

/// Unmounts everything below `directory`, a path without links, newest first. Returns the remaining mount points with
/// the errors; nothing below them may be removed then. A mount that is hidden by another one stays: no path leads into
/// it.
///
/// # Errors
/// The mount table cannot be read, so nothing is known.
pub fn unmount_below(directory: &Path, top: Top) -> io::Result<Vec<(PathBuf, io::Error)>> {
    let mut faults = Vec::new();
    for mount in found_below(directory, top)? {
        if let Err(error) = unmount_seen(&mount) {
            faults.push((mount.point, error));
        }
    }
    if faults.is_empty() {
        let left = found_below(directory, top)?.into_iter().filter(|mount| is_seen(mount).unwrap_or(true));
        faults.extend(left.map(|mount| (mount.point, io::Error::other("still mounted"))));
    }
    Ok(faults)
}

/// Unmounts exactly this mount, if a path leads to it.
fn unmount_seen(mount: &Mount) -> io::Result<()> {
    if !is_seen(mount)? {
        return Ok(());
    }
    let Some((parent, name)) = open_place(&mount.point)? else { return Ok(()) };
    // The parent is held open and not the mount, which would be busy otherwise.
    unmount(&path_of(&parent).join(name))
}

/// True if the path of a mount leads to it, and not to another one mounted over it, or nowhere. Assumed for a kernel
/// that does not report it (before 5.8).
fn is_seen(mount: &Mount) -> io::Result<bool> {
    let Some((parent, name)) = open_place(&mount.point)? else { return Ok(false) };
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    match statx(&parent, name, flags, StatxFlags::MNT_ID) {
        Ok(stat) if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 => Ok(true),
        Ok(stat) => Ok(stat.stx_mnt_id == mount.id),
        Err(Errno::NOENT) => Ok(false),
        // For example a dead network mount: it exists.
        Err(_) => Ok(true),
    }
}

/// The parent directory of a mount point, and its name; `None` if there is no such directory. No component may be a
/// link, and the path may be longer than the kernel's limit.
fn open_place(point: &Path) -> io::Result<Option<(OwnedFd, &OsStr)>> {
    let (Some(parent), Some(name)) = (point.parent(), point.file_name()) else { return Ok(None) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here = rustix::fs::open("/", flags, Mode::empty())?;
    let mut parts = parent.components().skip(1).peekable();
    while parts.peek().is_some() {
        let some: PathBuf = parts.by_ref().take(PIECE).collect();
        here = match openat2(&here, &some, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
    }
    Ok(Some((here, name)))
}

/// Parses the table (`proc(5)`): the first field is the mount's id, the fifth its mount point.
pub(crate) fn parse_mounts(table: &[u8]) -> impl Iterator<Item = Mount> {
    let lines = table.split(|b| *b == b'\n');
    lines.filter_map(|line| {
        let mut fields = line.split(|b| *b == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        Some(Mount { id, point: unescape(fields.nth(3)?) })
    })
}

/// The kernel escapes space, tab, newline and backslash as `\ooo`.
pub(super) fn unescape(text: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        match (first, octal) {
            (b'\\', Some(byte)) => {
                out.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    // Not part of the name: the kernel's mark for unlinked directories.
    let name = out.strip_suffix(b"//deleted").unwrap_or(&out);
    PathBuf::from(OsString::from_vec(name.to_vec()))
}

/// True if something is mounted exactly at `path`; false for a path that does not exist.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::TYPE) {
        Ok(stat) if stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
        }
        // Before Linux 5.8 only the table shows it.
        Ok(_) => {
            let path = resolved(path)?;
            Ok(parse_mounts(&fs::read(TABLE)?).any(|mount| mount.point == path))
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Mounts a tmpfs of at most `size` bytes, excluded from swap if the kernel supports that (6.4).
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

/// Bind-mounts the object of the handle `source` to `target`; the kernel uses the handle, not a path that could change.
pub fn bind(source: impl AsFd, target: &Path) -> io::Result<()> {
    // By reference: the handle stays open until the kernel has used it.
    Ok(rustix::mount::mount_bind(path_of(&source), target)?)
}

/// A path to the object of a handle, for calls that accept no handle.
pub fn path_of(handle: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd()))
}

/// Makes an existing bind mount read-only.
pub fn make_read_only(target: &Path) -> io::Result<()> {
    Ok(rustix::mount::mount_remount(target, MountFlags::BIND | MountFlags::RDONLY, c"")?)
}

/// Unmounts the topmost mount at `target`; busy mounts are detached. "Not mounted" is success.
pub fn unmount(target: &Path) -> io::Result<()> {
    match rustix::mount::unmount(target, UnmountFlags::NOFOLLOW) {
        Err(Errno::BUSY) => Ok(rustix::mount::unmount(target, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)?),
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes mounts below `directory`, a path without links, propagate to containers that request it; creates a shared
/// mount if needed.
pub fn make_shared(directory: &Path) -> io::Result<()> {
    if !is_mount_point(directory)? {
        if is_shared(&fs::read(TABLE)?, directory) {
            return Ok(());
        }
        bind_to_itself(directory)?;
    }
    Ok(rustix::mount::mount_change(directory, MountPropagationFlags::SHARED | MountPropagationFlags::REC)?)
}

/// Bind-mounts a directory with its submounts to itself. Submounts then exist twice; the hidden ones are unmounted: no
/// path leads to them any more, and their mount points could never be removed.
fn bind_to_itself(directory: &Path) -> io::Result<()> {
    let mut hidden = Vec::new();
    for mount in found_below(directory, Top::Stays)? {
        if is_seen(&mount)?
            && let Some((parent, name)) = open_place(&mount.point)?
        {
            hidden.push((path_of(&parent).join(name), parent));
        }
    }
    rustix::mount::mount_bind_recursive(directory, directory)?;
    // All of them first: unmounting from a shared mount would propagate to the copy.
    for (point, _) in &hidden {
        rustix::mount::mount_change(point, MountPropagationFlags::PRIVATE)?;
    }
    hidden.iter().try_for_each(|(point, _)| unmount(point))
}

/// True if the mount that contains `path` propagates.
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

    const SAMPLE: &[u8] = b"20 1 8:1 / / rw shared:1 - ext4 /dev/a rw\n\
        21 20 0:5 / /var/lib/x rw - tmpfs tmpfs rw\n\
        22 20 0:6 / /var/lib/x/a\\040b rw shared:2 - tmpfs tmpfs rw\n\
        23 20 0:6 /gone//deleted /var/lib/x/t\\011n\\012b\\134//deleted rw - tmpfs tmpfs rw\n";

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let points: Vec<_> = parse_mounts(SAMPLE).map(|mount| (mount.id, mount.point)).collect();
        let expected = [(20, "/"), (21, "/var/lib/x"), (22, "/var/lib/x/a b"), (23, "/var/lib/x/t\tn\nb\\")];
        assert_eq!(points, expected.map(|(id, point)| (id, PathBuf::from(point))));
    }

    #[test]
    fn the_closest_mount_decides_about_propagation() {
        assert!(is_shared(SAMPLE, Path::new("/var/lib")));
        assert!(!is_shared(SAMPLE, Path::new("/var/lib/x/c")));
        assert!(is_shared(SAMPLE, Path::new("/var/lib/x/a b/c")));
    }
}
