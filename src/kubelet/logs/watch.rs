//! One inotify instance for all followed logs: instances are scarce on a node, watches are not.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::StreamExt;
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::sync::watch;

use crate::offload::Lanes;
use crate::supervise::caught;

/// Notifies followers of changes in a directory.
#[derive(Default)]
pub struct DirectoryWatch {
    open: Mutex<Option<Open>>,
    lanes: OnceLock<Lanes>,
}

struct Open {
    watches: Watches,
    directories: HashMap<WatchDescriptor, watch::Sender<()>>,
    /// Number of subscriptions in progress: meanwhile no watch is removed, because it may be theirs too.
    coming: usize,
}

/// A follower's subscription to one directory; dropping it unsubscribes.
pub struct Changes {
    hub: Arc<DirectoryWatch>,
    descriptor: WatchDescriptor,
    receiver: watch::Receiver<()>,
}

impl DirectoryWatch {
    /// Watches a directory; later changes are reported.
    ///
    /// # Errors
    /// The directory does not exist or does not respond, or the limit of watches is reached.
    pub async fn subscribe(self: &Arc<Self>, directory: &Path) -> io::Result<Changes> {
        let mut watches = self.begin()?;
        let mask = WatchMask::MODIFY
            | WatchMask::CREATE
            | WatchMask::CLOSE_WRITE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF;
        let lanes = self.lanes.get_or_init(|| Lanes::new("log directory"));
        let place = directory.to_owned();
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let added = lanes.io(directory.to_string_lossy(), "watch", move || watches.add(place, mask)).await;
        let mut guard = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = guard.as_mut().ok_or(io::ErrorKind::NotFound)?;
        open.coming = open.coming.saturating_sub(1);
        let descriptor = added?;
        let sender = open.directories.entry(descriptor.clone()).or_insert_with(|| watch::channel(()).0);
        Ok(Changes { hub: Arc::clone(self), descriptor, receiver: sender.subscribe() })
    }

    fn begin(self: &Arc<Self>) -> io::Result<Watches> {
        let mut guard = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match guard.as_mut() {
            Some(open) => open,
            None => {
                let inotify = Inotify::init()?;
                let watches = inotify.watches();
                let stream = inotify.into_event_stream(vec![0; 4096])?;
                let hub = Arc::downgrade(self);
                crate::supervise::spawn("log folders", async move {
                    if caught("log folders", forward(hub.clone(), stream)).await.is_err() {
                        // Followers are notified of the end, and the next one reopens it.
                        hub.upgrade()
                            .inspect(|hub| drop(hub.open.lock().unwrap_or_else(PoisonError::into_inner).take()));
                    }
                });
                guard.insert(Open { watches, directories: HashMap::new(), coming: 0 })
            }
        };
        open.coming = open.coming.saturating_add(1);
        Ok(open.watches.clone())
    }
}

async fn forward(hub: std::sync::Weak<DirectoryWatch>, mut events: inotify::EventStream<Vec<u8>>) {
    while let Some(event) = events.next().await {
        let Some(hub) = hub.upgrade() else { return };
        let mut guard = hub.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = guard.as_mut() else { return };
        match event {
            Ok(event) if event.mask.contains(EventMask::IGNORED) => {
                open.directories.remove(&event.wd);
            }
            Ok(event) if !event.mask.contains(EventMask::Q_OVERFLOW) => {
                if let Some(sender) = open.directories.get(&event.wd) {
                    sender.send_replace(());
                }
            }
            // Events were lost: everybody has to check.
            Ok(_) | Err(_) => open.directories.values().for_each(|sender| {
                sender.send_replace(());
            }),
        }
    }
}

impl Changes {
    /// Waits for a change since the last call; forever if the directory was removed.
    ///
    /// Cancel safe: a change during a cancelled call is reported by the next one.
    pub async fn next(&mut self) {
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Waits for a change if there is a watch, otherwise forever.
pub async fn next_change(changes: &mut Option<Changes>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let mut guard = self.hub.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = guard.as_mut() else { return };
        // This follower's own receiver is still counted.
        if open.coming == 0 && open.directories.get(&self.descriptor).is_some_and(|sender| sender.receiver_count() <= 1)
        {
            open.directories.remove(&self.descriptor);
            // The kernel may have removed the watch together with the directory.
            let _ = open.watches.remove(self.descriptor.clone());
        }
    }
}
