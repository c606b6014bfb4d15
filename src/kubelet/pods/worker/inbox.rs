//! A worker's inbox: the newest value of everything, not a queue.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::core::model::{ContainerId, PodKill};
use crate::core::plan::resize::Pending;

/// Messages since the worker last read its inbox.
#[derive(Default)]
pub struct Mail {
    pub pod: Option<Arc<Pod>>,
    /// The newer definition has other allocated resources; the containers have to be resized.
    pub resized: bool,
    /// Why wanted resources are not allocated; inner `None` if nothing is pending.
    pub resize_pending: Option<Option<Pending>>,
    /// No source lists the pod any more.
    pub removed: bool,
    /// True if a source lists it again, after all of them had dropped it.
    pub returns: Option<bool>,
    /// The command to terminate the pod.
    pub kill: Option<PodKill>,
    /// Notified when its containers are gone.
    pub waiters: Vec<oneshot::Sender<()>>,
    /// Containers and sandboxes that have exited.
    pub exited: BTreeSet<ContainerId>,
    /// The runtime has to be observed.
    pub look: bool,
    /// All of it has to be read, even what seems unchanged.
    pub fresh: bool,
    /// An object that the pod uses has changed.
    pub objects: bool,
    /// The disk is full: remove the pod's records once it has finished, although a source lists it.
    pub remove_dead: bool,
}

/// Shared by the dispatcher, which writes, and the worker, which takes everything at once.
#[derive(Default)]
pub struct Inbox {
    mail: Mutex<Mail>,
    wake: Notify,
    over: CancellationToken,
}

impl Inbox {
    /// Writes a message and wakes the worker. One that terminates the pod cancels its passes immediately, even while
    /// the worker waits for the runtime.
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

    /// Cancelled when the pod has to terminate, for passes that keep it running.
    pub fn until_the_end(&self) -> CancellationToken {
        self.over.child_token()
    }

    pub fn take(&self) -> Mail {
        std::mem::take(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Completes when something was written; dropping the future loses no wake-up.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
}
