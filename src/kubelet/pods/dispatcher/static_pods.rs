//! Static pods in the table: one per name at a time, after its predecessors have finished; rejected ones are retried.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Dispatcher, Entry, Formers};
use crate::core::model::time::Moment;
use crate::core::model::{Backoff, PodKey, PodUid, Verdict, key_of, with_causes};
use crate::kubelet::pods::calls::Calls;
use crate::kubelet::pods::context::Event;
use crate::kubelet::pods::orphans::{Orphan, observe_former_statics};
use crate::kubelet::pods::worker::WorkerSpec;
use crate::supervise::spawn;

/// First and longest delay before rejected static pods are retried; also done at every change of the table. Labels and
/// capacity of the node may change too.
const RETRY: Backoff = Backoff { first: Duration::from_secs(10), most: Duration::from_secs(300) };

/// Interval of asking the runtime for static pods of an earlier kubelet.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// True if the name of a static pod is still in use, by another definition or by a pod that an earlier kubelet ran
    /// under another uid, which is terminated first. Both would use the same ports, locks and files.
    pub(super) fn is_name_taken(&mut self, uid: &PodUid, key: &PodKey) -> bool {
        match &mut self.statics.formers {
            Formers::Unknown => {
                self.statics.formers = Formers::AskedFor;
                self.ask_for_formers();
                return true;
            }
            Formers::AskedFor => return true,
            Formers::Known(all) => {
                let of_name = |former: &mut Orphan| former.key() == *key && former.uid != *uid;
                for former in all.extract_if(.., of_name).collect::<Vec<_>>() {
                    self.end_orphan(former);
                }
            }
        }
        self.entries.values().any(|e| (e.is_static || e.orphan) && e.key == *key && !e.finished)
    }

    /// Nothing is admitted before the runtime has responded; nothing could be started anyway.
    fn ask_for_formers(&self) {
        let shared = Arc::clone(&self.shared);
        spawn("former static pods", async move {
            while !shared.events.is_closed() {
                match observe_former_statics(&shared.ports).await {
                    Ok(found) => return drop(shared.events.send(Event::FormerStatics(found)).await),
                    Err(error) => {
                        tracing::debug!(error = with_causes(&error), "the runtime could not be asked for static pods")
                    }
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        });
    }

    pub(super) fn take_former_statics(&mut self, found: Vec<Orphan>) {
        self.statics.formers = Formers::Known(found);
        self.reconcile();
    }

    /// Terminates a pod that no source lists; if a static pod waits for its name, with its own grace period.
    pub(super) fn end_orphan(&mut self, orphan: Orphan) {
        if self.entries.contains_key(&orphan.uid) {
            return;
        }
        let key = orphan.key();
        let mut statics = self.sets.values().flatten().filter(|desired| desired.source.is_static());
        let has_successor = orphan.is_static && statics.any(|desired| key_of(&desired.pod) == key);
        tracing::info!(uid = %orphan.uid, name = orphan.name, has_successor, "terminating a pod that no source lists");
        let calls = Calls::new(&self.shared, orphan.uid.clone());
        if orphan.is_at_runtime() {
            self.shared.metrics().orphaned_runtime_pods.with([]).inc();
        }
        let pod = orphan.pod(has_successor);
        let spec = WorkerSpec { calls, pod, is_static: false, orphan: true, rejection: None, first_seen: None };
        self.spawn(orphan.uid, key, spec);
    }

    /// Static pods are wanted as long as their manifests exist: rejected ones start over once admission would decide
    /// differently.
    pub(super) fn try_refused(&mut self) {
        let is_refused =
            |entry: &Entry| entry.is_static && entry.finished && !entry.removed && entry.rejection.is_some();
        let active = if self.entries.values().any(is_refused) { self.active() } else { Vec::new() };
        let mut is_any = false;
        for entry in self.entries.values_mut().filter(|entry| is_refused(entry)) {
            let Some(refused) = &entry.rejection else { continue };
            if self.shared.ports.admission.admit(&entry.pod, true, &active) == Verdict::Reject(refused.clone()) {
                is_any = true;
                continue;
            }
            tracing::info!(pod = %entry.key, reason = refused.reason, "retrying a rejected static pod");
            // Its worker exits, and the next one is admitted as usual.
            entry.removed = true;
            entry.inbox.put(|mail| mail.removed = true);
        }
        if !is_any {
            (self.statics.retry_at, self.statics.refusals) = (None, 0);
        } else if self.statics.retry_at.is_none() {
            self.statics.refusals = self.statics.refusals.saturating_add(1);
            self.statics.retry_at = Some(Instant::now().later(RETRY.after(self.statics.refusals)));
        }
    }
}
