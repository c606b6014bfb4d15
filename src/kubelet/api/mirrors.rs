//! Maintains one mirror pod per static pod. Best effort, and independent of running pods: nothing waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::pods::ApiPodView;
use crate::core::manifest::mirror::{MirrorAction, derive_mirror, plan_mirror};
use crate::core::model::{PodKey, PodUid, key_of, uid_of, with_causes};
use crate::ports::kubelet::{PodApi, Pods};
use crate::ports::node::ApiError;

/// Interval of reconciliation while something remains to be done.
const RETRY: Duration = Duration::from_secs(1);
/// Otherwise the interval, in case a change was missed.
const RECHECK: Duration = Duration::from_secs(60);

/// The reconciler of mirror pods.
pub struct Mirrors {
    pub api: Arc<dyn PodApi>,
    /// The existing mirror pods.
    pub view: Arc<ApiPodView>,
    /// The wanted static pods; `None` until the manifests have been read.
    pub statics: watch::Receiver<Option<Vec<Arc<Pod>>>>,
    /// Static pods that run or still terminate.
    pub pods: Arc<dyn Pods>,
    /// Name of the node.
    pub node_name: String,
    /// Uid of the Node object; `None` before registration.
    pub node_uid: watch::Receiver<Option<String>>,
}

impl Mirrors {
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut changes = self.view.subscribe();
        loop {
            let settled = self.reconcile().await;
            let pause = if settled { RECHECK } else { RETRY };
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(pause) => break,
                    Ok(()) = self.statics.changed() => break,
                    Ok(()) = self.node_uid.changed() => break,
                    change = changes.recv() => match change {
                        Ok(change) if !change.mirror => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return,
                    },
                }
            }
        }
    }

    /// Reconciles every name once; true if nothing remains to be done.
    async fn reconcile(&self) -> bool {
        let (statics, uid) = (self.statics.borrow().clone(), self.node_uid.borrow().clone());
        let (Some(statics), Some(node_uid)) = (statics, uid) else { return true };
        if !self.view.is_listed() {
            return false;
        }
        let mut keys: BTreeSet<PodKey> = self.view.list(true).iter().map(|pod| key_of(pod)).collect();
        keys.extend(statics.iter().map(|pod| key_of(pod)));
        let mut settled = true;
        for key in keys {
            let wanted = statics.iter().find(|pod| key_of(pod) == key);
            let found = self.view.by_key(&key).filter(|pod| crate::core::manifest::mirror::is_mirror(pod));
            let replaced = |uid: PodUid| wanted.is_none_or(|wanted| uid_of(wanted) != uid);
            let ending = self.pods.by_key(&key).is_some_and(|pod| pod.is_static && replaced(uid_of(&pod.pod)));
            settled &= !ending;
            match plan_mirror(wanted.map(|pod| &**pod), found.as_deref(), ending) {
                MirrorAction::Keep => {}
                MirrorAction::Create => {
                    let Some(wanted) = wanted else { continue };
                    settled &= self.create(&key, &derive_mirror(wanted, &self.node_name, &node_uid)).await;
                }
                MirrorAction::Delete(uid) => {
                    settled &= self.delete(&key, &uid).await;
                }
            }
        }
        settled
    }

    async fn create(&self, key: &PodKey, mirror: &Pod) -> bool {
        match self.api.create(mirror).await {
            Ok(_) => {
                info!(%key, "mirror pod created");
                true
            }
            // The watch will show it, and whether it is the right one is decided then.
            Err(ApiError::AlreadyExists(_)) => true,
            Err(error @ ApiError::Unreachable { .. }) => {
                debug!(%key, error = with_causes(&error), "mirror pod not created yet");
                false
            }
            Err(error) => {
                warn!(%key, error = with_causes(&error), "mirror pod not created");
                false
            }
        }
    }

    async fn delete(&self, key: &PodKey, uid: &str) -> bool {
        match self.api.delete_now(key, uid).await {
            Ok(()) => {
                info!(%key, "mirror pod deleted");
                true
            }
            Err(ApiError::NotFound(_) | ApiError::Conflict { .. }) => true,
            Err(error) => {
                debug!(%key, error = with_causes(&error), "mirror pod not deleted yet");
                false
            }
        }
    }
}

#[cfg(test)]
#[path = "mirrors_tests.rs"]
mod tests;
