//! The CNI configuration file: written when it is not as it should be, and watched.

#![expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]

use std::io;
use std::path::Path;

use futures::StreamExt;
use inotify::{Inotify, WatchMask, Watches};

use crate::adapters::fs::atomic;
use crate::core::network::conflist;
use crate::supervise::spawn;

/// Whatever changes which file has the name, or what is in it.
const MASK: WatchMask = WatchMask::CLOSE_WRITE
    .union(WatchMask::ATTRIB)
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::DELETE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF);

/// Calls `changed` whenever the file changed in a directory that [`write()`] was given.
pub(super) fn watch(changed: impl Fn() + Send + Sync + 'static) -> io::Result<Watches> {
    let inotify = Inotify::init()?;
    let watches = inotify.watches();
    let mut events = inotify.into_event_stream(vec![0; 4096])?;
    spawn("watch of the CNI configuration", async move {
        while let Some(Ok(event)) = events.next().await {
            // An event without a name is about the directory itself, or of announcements that were lost.
            if event.name.is_none_or(|name| name == conflist::FILE_NAME) {
                changed();
            }
        }
    });
    Ok(watches)
}

/// Makes the file what it should be, and has its directory watched from before; true when something was changed.
pub(super) fn write(directory: &Path, text: &str, watches: Option<&mut Watches>) -> io::Result<bool> {
    std::fs::create_dir_all(directory)?;
    if let Some(watches) = watches {
        // The same directory again gives the same watch; one that was replaced, a new one.
        watches.add(directory, MASK)?;
    }
    atomic::write_if_changed(&directory.join(conflist::FILE_NAME), text.as_bytes(), 0o600)
}
