//! File systems on block devices, from the mount table.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::fs;
use std::path::{Path, PathBuf};

use super::mounts::unescape;

/// A mounted file system on a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMount {
    pub point: PathBuf,
    /// Device number as `major:minor`; that of an anonymous device for btrfs.
    pub number: String,
    /// The device, e.g. `/dev/sda1`.
    pub device: String,
}

/// The mounted block devices, each with the first of its mount points; empty if the table cannot be read. Only the
/// table is read, so a dead network mount cannot block this.
pub fn block_mounts(proc: &Path) -> Vec<BlockMount> {
    parse_block_mounts(&fs::read(proc.join("self/mountinfo")).unwrap_or_default())
}

/// The lines of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)) whose source is a device file.
fn parse_block_mounts(table: &[u8]) -> Vec<BlockMount> {
    let mut found: Vec<BlockMount> = Vec::new();
    for line in table.split(|b| *b == b'\n') {
        let Some(mount) = parse_line(line) else { continue };
        if !found.iter().any(|other| other.device == mount.device) {
            found.push(mount);
        }
    }
    found
}

fn parse_line(line: &[u8]) -> Option<BlockMount> {
    let mut fields = line.split(|b| *b == b' ');
    let number = std::str::from_utf8(fields.nth(2)?).ok()?.to_owned();
    let point = unescape(fields.nth(1)?);
    // Any number of optional fields ends with a dash; type and source follow it.
    fields.find(|field| *field == b"-")?;
    // File systems served by a user-space program or another machine may block when their size is requested.
    let kind = fields.next()?;
    if kind.starts_with(b"fuse") || [&b"9p"[..], b"virtiofs"].contains(&kind) {
        return None;
    }
    let source = unescape(fields.next()?);
    let device = source.to_str().filter(|source| source.starts_with("/dev/"))?.to_owned();
    Some(BlockMount { point, number, device })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_once_and_what_is_on_none_is_left_out() {
        let table = "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
            23 22 8:1 /srv /mnt\\040two rw - ext4 /dev/sda1 rw\n\
            24 22 0:20 / /proc rw - proc proc rw\n\
            25 22 0:44 /@ /data rw shared:2 master:3 - btrfs /dev/nvme0n1p2 rw\n\
            26 22 0:50 / /run rw - tmpfs tmpfs rw\n27 22 8:1\n\
            28 22 0:51 / /ntfs rw - fuseblk /dev/sdb1 rw\n";
        let found = parse_block_mounts(table.as_bytes());
        let seen: Vec<_> =
            found.iter().map(|m| (m.point.to_str().unwrap(), m.number.as_str(), m.device.as_str())).collect();
        assert_eq!(seen, [("/", "8:1", "/dev/sda1"), ("/data", "0:44", "/dev/nvme0n1p2")]);
    }
}
