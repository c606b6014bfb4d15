//! Snapshots and data directories of etcd on disk.

#![expect(clippy::disallowed_methods, reason = "for programs that end")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::ports::bootstrap::{EtcdFileError, EtcdFiles};

/// Length of the checksum at the end of a snapshot, bytes.
const CHECKSUM: usize = 32;
/// etcd's database grows by pages, so the size of a snapshot with checksum is a multiple of this plus 32.
const PAGE: u64 = 512;

/// The node's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostEtcdFiles;

fn failed(verb: &'static str, path: &Path) -> impl Fn(io::Error) -> EtcdFileError {
    let path = path.to_owned();
    move |source| EtcdFileError::Io { verb, path: path.clone(), source }
}

impl EtcdFiles for HostEtcdFiles {
    fn check_snapshot(&self, path: &Path) -> Result<u64, EtcdFileError> {
        let failed = failed("read", path);
        let broken = || EtcdFileError::Broken { path: path.to_owned() };
        let mut file = File::open(path).map_err(&failed)?;
        let size = file.metadata().map_err(&failed)?.len();
        if size < PAGE || size % PAGE != CHECKSUM as u64 {
            return Err(broken());
        }
        let mut digest = Sha256::new();
        let mut left = size.saturating_sub(CHECKSUM as u64);
        let mut part = vec![0; 1 << 20];
        while left > 0 {
            part.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact(&mut part).map_err(&failed)?;
            digest.update(&part);
            left = left.saturating_sub(part.len() as u64);
        }
        let mut checksum = [0; CHECKSUM];
        file.read_exact(&mut checksum).map_err(&failed)?;
        if digest.finalize().as_slice() == checksum { Ok(size) } else { Err(broken()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), EtcdFileError> {
        let failed = failed("move", from);
        fs::rename(from, to).map_err(&failed)?;
        match to.parent() {
            Some(folder) => File::open(folder).and_then(|folder| folder.sync_all()).map_err(&failed),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_was_cut_short_or_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot.db");
        let mut bytes = vec![7; 3 * 4096];
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(HostEtcdFiles.check_snapshot(&path).unwrap(), bytes.len() as u64);
        fs::write(&path, &bytes[..bytes.len() - 4096]).unwrap();
        assert!(matches!(HostEtcdFiles.check_snapshot(&path), Err(EtcdFileError::Broken { .. })));
        bytes[100] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(HostEtcdFiles.check_snapshot(&path), Err(EtcdFileError::Broken { .. })));
        fs::write(&path, b"").unwrap();
        assert!(matches!(HostEtcdFiles.check_snapshot(&path), Err(EtcdFileError::Broken { .. })));
    }
}
