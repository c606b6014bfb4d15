//! A worker's inbox: the newest of everything, never a queue.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::core::model::{ContainerId, PodKill};
use crate::core::plan::resize::Pending;

/// What came in since the worker last looked.
#[derive(Default)]
pub struct Mail {
    /// A newer definition.
    pub pod: Option<Arc<Pod>>,
    /// The newer definition has other resources allocated; the containers follow.
    pub resized: bool,
    /// What the spec asks for but is not allocated, with the reason; none when nothing waits.
    pub resize_pending: Option<Option<Pending>>,
    /// No source lists the pod any more.
    pub removed: bool,
    /// Whether a source lists it again, after all of them had dropped it.
    pub returns: Option<bool>,
    /// An order to end it.
    pub kill: Option<PodKill>,
    /// Who waits for its containers to be gone.
    pub waiters: Vec<oneshot::Sender<()>>,
    /// Containers and sandboxes that have ended.
    pub exited: BTreeSet<ContainerId>,
    /// The runtime has to be looked at.
    pub look: bool,
    /// All of it, also what seems unchanged.
    pub fresh: bool,
    /// An object that the pod uses has changed.
    pub objects: bool,
    /// The disk is short: once the pod is finished, its records go although a source lists it.
    pub remove_dead: bool,
}

/// Shared by the dispatcher, which writes, and the worker, which takes all at once.
#[derive(Default)]
pub struct Inbox {
    mail: Mutex<Mail>,
    wake: Notify,
    over: CancellationToken,
}

impl Inbox {
    /// Puts something in and wakes the worker. What ends the pod calls its passes off at once, also while the worker waits
    /// for the runtime to be read.
    pub fn put(&self, write: impl FnOnce(&mut Mail)) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut mail);
        let deleted = mail.pod.as_ref().is_some_and(|pod| pod.metadata.deletion_timestamp.is_some());
        if deleted || mail.removed || mail.kill.is_some() {
            self.over.cancel();
        }
        drop(mail);
        self.wake.notify_one();
    }

    /// Cancelled once the pod is to be ended, for passes that are to keep it running.
    pub fn until_the_end(&self) -> CancellationToken {
        self.over.child_token()
    }

    /// Takes everything out.
    pub fn take(&self) -> Mail {
        std::mem::take(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends when something was put in; losing the future loses no wake-up.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
}
