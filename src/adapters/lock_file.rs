//! `--lock-file`: one kubelet at a time, which exits when another process opens the file.
//!
//! Source: `pkg/util/flock`, `cmd/kubelet/app/server_linux.go` (`watchForLockfileContention`).

#![expect(clippy::disallowed_methods, reason = "before anything runs")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

/// Interval between attempts to get a lock that another process holds.
const AGAIN: Duration = Duration::from_millis(200);

/// A lock that is held as long as this value exists.
#[derive(Debug)]
pub struct LockFile(#[expect(dead_code, reason = "the lock is the open file's")] File);

/// Waits for the lock; `None` if `stop` is cancelled first.
///
/// # Errors
/// The file cannot be opened or locked.
pub async fn acquire(path: &Path, stop: &CancellationToken) -> io::Result<Option<LockFile>> {
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
    let mut told = false;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(LockFile(file))),
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!(path = %path.display(), "waiting for the lock, which another process holds");
        }
        if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
            return Ok(None);
        }
    }
}

/// Returns a future that completes once another process opens or removes the file.
///
/// # Errors
/// The file cannot be watched.
pub fn contention(path: &Path) -> io::Result<impl Future<Output = ()> + Send + use<>> {
    let inotify = Inotify::init()?;
    inotify.watches().add(path, WatchMask::OPEN | WatchMask::DELETE_SELF)?;
    let mut events = inotify.into_event_stream(vec![0; 1024])?;
    Ok(async move { drop(events.next().await) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_one_waits_until_the_first_ends_and_the_first_hears_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubelet.lock");
        let stop = CancellationToken::new();
        let first = acquire(&path, &stop).await.unwrap().expect("free");
        let contended = contention(&path).unwrap();
        let second = tokio::spawn({
            let (path, stop) = (path.clone(), stop.clone());
            async move { acquire(&path, &stop).await }
        });
        contended.await;
        assert!(!second.is_finished(), "two hold the lock");
        drop(first);
        assert!(second.await.unwrap().unwrap().is_some());
    }

    #[tokio::test]
    async fn who_is_stopped_waits_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubelet.lock");
        let stop = CancellationToken::new();
        let _held = acquire(&path, &stop).await.unwrap().expect("free");
        stop.cancel();
        assert!(acquire(&path, &stop).await.unwrap().is_none());
    }
}
