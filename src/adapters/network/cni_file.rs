//! The CNI configuration file: written if it differs, and watched.

#![expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]

use std::io;
use std::path::Path;

use futures::StreamExt;
use inotify::{Inotify, WatchMask, Watches};

use crate::adapters::fs::atomic;
use crate::core::network::conflist;
use crate::supervise::spawn;

/// Events that change which file has the name, or its content.
const MASK: WatchMask = WatchMask::CLOSE_WRITE
    .union(WatchMask::ATTRIB)
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::DELETE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF);

/// Calls `changed` when the file changed in a directory that was passed to [`write()`].
pub(super) fn watch(changed: impl Fn() + Send + Sync + 'static) -> io::Result<Watches> {
    let inotify = Inotify::init()?;
    let watches = inotify.watches();
    let mut events = inotify.into_event_stream(vec![0; 4096])?;
    spawn("watch of the CNI configuration", async move {
        while let Some(Ok(event)) = events.next().await {
            // An event without a name is about the directory itself, or about lost events.
            if event.name.is_none_or(|name| name == conflist::FILE_NAME) {
                changed();
            }
        }
    });
    Ok(watches)
}

/// Writes the file if it differs, and watches its directory from before that; true if something was changed.
pub(super) fn write(directory: &Path, text: &str, watches: Option<&mut Watches>) -> io::Result<bool> {
    std::fs::create_dir_all(directory)?;
    if let Some(watches) = watches {
        // The same directory returns the same watch; a replaced one, a new watch.
        watches.add(directory, MASK)?;
    }
    atomic::write_if_changed(&directory.join(conflist::FILE_NAME), text.as_bytes(), 0o600)
}
