//! The dispatcher: receives pod sets and events, runs one worker per pod and one static pod per name.

mod admit;
mod static_pods;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use super::context::{Event, Shared};
use super::orphans::{Orphan, observe_orphans};
use super::weights::Active;
use super::worker::inbox::{Inbox, Mail};
use super::worker::{Worker, WorkerSpec};
use crate::core::model::time::Moment;
use crate::core::model::{
    ContainerId, DesiredPod, DesiredSet, PodKey, PodKill, PodUid, ReferenceKind, Rejection, SourceKind, key_of, reads,
    uid_of,
};
use crate::core::plan::resize::Pending;
use crate::ports::kubelet::{EventKind, EventTarget, ObjectChange, Pods, RuntimeEvent};
use crate::supervise::{Panicked, Pauses, caught, caught_call, spawn};
use crate::telemetry::panics::Task;

/// One pod that has a worker.
struct Entry {
    inbox: Arc<Inbox>,
    calls: Calls,
    /// The definition from its source.
    pod: Arc<Pod>,
    /// The definition with the allocated resources.
    allocated: Arc<Pod>,
    /// Why wanted resources are not allocated; `None` if they are.
    pending: Option<Pending>,
    key: PodKey,
    is_static: bool,
    orphan: bool,
    rejection: Option<Rejection>,
    /// Its source dropped it; it is not revived, a new worker follows if it comes back.
    removed: bool,
    /// A source lists it again.
    returns: bool,
    /// The command to terminate it, which outlives a panicked worker.
    kill: Option<PodKill>,
    finished: bool,
    /// When its worker was started, and the number of panics.
    started: Instant,
    pauses: Pauses,
}

/// What the table remembers about static pods besides the running ones.
#[derive(Default)]
struct Statics {
    formers: Formers,
    /// When rejected ones are retried, and how often in a row they were rejected.
    retry_at: Option<Instant>,
    refusals: u32,
}

/// Static pods of an earlier kubelet in the runtime.
#[derive(Default)]
enum Formers {
    #[default]
    Unknown,
    AskedFor,
    Known(Vec<Orphan>),
}

/// Owner of the pod table.
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    entries: HashMap<PodUid, Entry>,
    sets: BTreeMap<SourceKind, Vec<DesiredPod>>,
    /// When each pod of the sets was seen first, or was wanted again.
    seen: HashMap<PodUid, Instant>,
    statics: Statics,
    workers: JoinSet<(PodUid, Result<(), Panicked>)>,
    /// True once orphans were searched after the sources became ready.
    swept: bool,
    /// When to reconcile the workers again after a panic.
    again: Option<Instant>,
    pauses: Pauses,
}

impl Dispatcher {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            entries: HashMap::new(),
            sets: BTreeMap::new(),
            seen: HashMap::new(),
            statics: Statics::default(),
            workers: JoinSet::new(),
            swept: false,
            again: None,
            pauses: Pauses::default(),
        }
    }

    pub async fn run(
        mut self,
        mut desired: mpsc::Receiver<DesiredSet>,
        mut events: mpsc::Receiver<Event>,
        stop: CancellationToken,
    ) {
        let mut hints = self.shared.ports.runtime.events();
        let mut probes = self.shared.ports.probes.changes();
        let mut objects = self.shared.ports.objects.changes();
        let (mut probes_open, mut objects_open) = (true, true);
        loop {
            let (again, retry) = (self.again, self.statics.retry_at);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(event) = events.recv() => self.take_event(event),
                Some(set) = desired.recv() => self.take_set(set),
                Some(hint) = hints.recv() => self.take_hint(hint),
                uid = probes.recv(), if probes_open => match uid {
                    Some(uid) => self.put(&uid, |_| {}),
                    None => probes_open = false,
                },
                change = objects.recv(), if objects_open => match change {
                    Ok(change) => self.take_change(&change),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.put_all(|mail| mail.objects = true),
                    Err(broadcast::error::RecvError::Closed) => objects_open = false,
                },
                Some(ended) = self.workers.join_next(), if !self.workers.is_empty() => {
                    if let Ok((uid, Err(panicked))) = ended {
                        self.start_again(&uid, &panicked);
                    }
                }
                () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                    self.again = None;
                    self.reconcile();
                }
                () = tokio::time::sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => {
                    self.statics.retry_at = None;
                    self.reconcile();
                }
            }
        }
    }

    fn put(&self, uid: &PodUid, write: impl FnOnce(&mut Mail)) {
        if let Some(entry) = self.entries.get(uid) {
            entry.inbox.put(write);
        }
    }

    fn put_all(&self, write: impl Fn(&mut Mail)) {
        self.entries.values().for_each(|entry| entry.inbox.put(&write));
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Kill(uid, kill, done) => {
                if let Some(entry) = self.entries.get_mut(&uid) {
                    entry.kill = Some(kill.clone());
                    entry.inbox.put(|mail| {
                        mail.kill = Some(kill);
                        mail.waiters.push(done);
                    });
                }
            }
            // The asker may have given up.
            Event::Ping(answer) => drop(answer.send(())),
            Event::Wake(uid) => self.put(&uid, |mail| mail.look = true),
            Event::RemoveDead => self.put_all(|mail| mail.remove_dead = true),
            Event::Finished(uid) => {
                if let Some(entry) = self.entries.get_mut(&uid) {
                    entry.finished = true;
                }
                self.reconcile();
            }
            Event::Gone(uid) => {
                if let Some(entry) = self.entries.remove(&uid) {
                    self.count_restart(&uid, &entry);
                    self.shared.ports.statuses.forget(&uid);
                    tracing::debug!(pod = %entry.key, %uid, "worker exited");
                }
                self.shared.table.remove(&uid);
                self.reconcile();
            }
            Event::FormerStatics(found) => self.take_former_statics(found),
            Event::Found(orphans) => self.take_orphans(orphans),
        }
    }

    fn take_set(&mut self, set: DesiredSet) {
        let now = Instant::now();
        for desired in &set.pods {
            self.seen.entry(uid_of(&desired.pod)).or_insert(now);
        }
        self.sets.insert(set.source, set.pods);
        self.reconcile();
        if self.ready() && !self.swept {
            self.swept = true;
            self.sweep();
        }
    }

    /// True if every configured source has reported.
    fn ready(&self) -> bool {
        self.shared.settings.sources.iter().all(|source| self.sets.contains_key(source))
    }

    fn take_hint(&mut self, hint: RuntimeEvent) {
        match hint {
            RuntimeEvent::Container(id) => {
                if let Some(uid) = self.shared.table.owner(id.as_str()) {
                    self.put(&uid, |mail| mail.look = true);
                }
            }
            RuntimeEvent::Exited(id) => self.exited(id),
            RuntimeEvent::Pod(uid) => self.put(&uid, |mail| mail.look = true),
            RuntimeEvent::Resync => {
                // In a separate task: an unresponsive runtime must not delay what does not need it.
                let shared = Arc::clone(&self.shared);
                spawn("runtime status", async move {
                    if let Ok(status) = shared.ports.runtime.status().await {
                        shared.facts.learn(&status);
                    }
                });
                self.put_all(|mail| mail.fresh = true);
                if self.ready() {
                    self.sweep();
                }
            }
        }
    }

    fn exited(&mut self, id: ContainerId) {
        if let Some(uid) = self.shared.table.owner(id.as_str()) {
            self.put(&uid, |mail| {
                mail.exited.insert(id);
                mail.look = true;
            });
        }
    }

    fn take_change(&mut self, change: &ObjectChange) {
        let (kind, namespace, name) = match change {
            ObjectChange::ConfigMap(namespace, name) => (ReferenceKind::ConfigMap, namespace, name),
            ObjectChange::Secret(namespace, name) => (ReferenceKind::Secret, namespace, name),
        };
        for entry in self.entries.values() {
            if caught_call("object change", || reads(&entry.pod, kind, namespace, name)).unwrap_or(true) {
                entry.inbox.put(|mail| mail.objects = true);
            }
        }
    }

    /// Updates the workers to what the sources want.
    fn reconcile(&mut self) {
        let wanted: Vec<DesiredPod> = self.sets.values().flatten().cloned().collect();
        let uids: BTreeSet<PodUid> = wanted.iter().map(|d| uid_of(&d.pod)).collect();
        self.seen.retain(|uid, _| uids.contains(uid));
        if self.ready() {
            for (uid, entry) in &mut self.entries {
                let wanted = uids.contains(uid);
                if !entry.removed && !wanted {
                    entry.removed = true;
                    entry.inbox.put(|mail| mail.removed = true);
                } else if entry.removed && entry.returns != wanted {
                    entry.returns = wanted;
                    entry.inbox.put(|mail| mail.returns = Some(wanted));
                }
            }
        }
        for desired in wanted {
            let pod = Arc::clone(&desired.pod);
            let who = name_of(&pod);
            if let Err(panicked) = caught_call(Task::of("pod admission", &who), || self.take_desired(desired)) {
                self.report_panic(&pod, &panicked);
                self.again = Some(Instant::now().later(self.pauses.next(Duration::ZERO)));
            }
        }
        if let Err(panicked) = caught_call("pod admission", || self.try_refused()) {
            tracing::error!(%panicked, "retry of rejected static pods failed");
        }
        if self.again.is_none() {
            self.pauses = Pauses::default();
        }
        self.shared.active.send_replace(Active { pods: self.active(), all: self.ready() });
    }

    fn spawn(&mut self, uid: PodUid, key: PodKey, spec: WorkerSpec) {
        let inbox = Arc::new(Inbox::default());
        let entry = Entry {
            inbox: Arc::clone(&inbox),
            calls: spec.calls.clone(),
            pod: Arc::clone(&spec.pod),
            allocated: Arc::clone(&spec.pod),
            pending: None,
            key,
            is_static: spec.is_static,
            orphan: spec.orphan,
            rejection: spec.rejection.clone(),
            removed: spec.orphan,
            returns: false,
            kill: None,
            finished: false,
            started: Instant::now(),
            pauses: Pauses::default(),
        };
        self.entries.insert(uid.clone(), entry);
        self.start_worker(uid, inbox, spec, Duration::ZERO);
    }

    fn start_worker(&mut self, uid: PodUid, inbox: Arc<Inbox>, spec: WorkerSpec, pause: Duration) {
        let (shared, task) = (Arc::clone(&self.shared), Task::of("pod worker", &name_of(&spec.pod)));
        self.workers.spawn(async move {
            tokio::time::sleep(pause).await;
            let worked = caught(task, async { Worker::new(shared, inbox, spec).run().await }).await;
            (uid, worked)
        });
    }

    /// Starts another worker after a delay when the pod's worker panicked. It continues from what it observes; until
    /// then the pod's containers are left alone.
    fn start_again(&mut self, uid: &PodUid, panicked: &Panicked) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let pause = entry.pauses.next(entry.started.elapsed());
        entry.started = Instant::now().later(pause);
        tracing::error!(pod = %entry.key, %uid, %panicked, ?pause, "the worker of the pod panicked and will be restarted");
        let mut pod = Arc::clone(&entry.allocated);
        if let Some(view) = self.shared.table.by_uid(uid) {
            pod = Arc::new(Pod { status: Some((*view.status).clone()), ..(*pod).clone() });
        }
        let (calls, rejection) = (entry.calls.clone(), entry.rejection.clone());
        let (is_static, orphan) = (entry.is_static, entry.orphan);
        let spec = WorkerSpec { calls, pod, is_static, orphan, rejection, first_seen: None };
        let (removed, kill, pending) = (entry.removed, entry.kill.clone(), entry.pending.clone());
        // Messages that the worker had already taken; newer ones take precedence.
        entry.inbox.put(|mail| {
            mail.removed |= removed;
            mail.kill = mail.kill.take().or(kill);
            mail.resize_pending = mail.resize_pending.take().or(Some(pending));
        });
        let (inbox, pod) = (Arc::clone(&entry.inbox), Arc::clone(&entry.pod));
        self.start_worker(uid.clone(), inbox, spec, pause);
        if !self.entries.get(uid).is_some_and(|entry| entry.orphan) {
            self.report_panic(&pod, panicked);
        }
    }

    fn report_panic(&self, pod: &Pod, panicked: &Panicked) {
        let message = format!("{panicked}; its containers keep running, and the pod is retried");
        let record =
            || self.shared.ports.events.record(EventTarget::Pod(pod), EventKind::Warning, "FailedSync", message);
        // A second panic is in the log as well.
        let _ = caught_call("event", record);
    }

    fn sweep(&self) {
        let shared = Arc::clone(&self.shared);
        spawn("leftover pods", async move {
            let found = observe_orphans(&shared.ports).await;
            let _ = shared.events.send(Event::Found(found)).await;
        });
    }

    /// A pod that was dropped and is wanted again under the same uid, after its worker is gone.
    fn count_restart(&mut self, uid: &PodUid, entry: &Entry) {
        if let Some(seen) = self.seen.get_mut(uid) {
            *seen = Instant::now();
        }
        if entry.returns && entry.rejection.is_none() {
            let label = if entry.is_static { "true" } else { "" };
            self.shared.metrics().restarted_pods.with([label]).inc();
        }
    }

    fn take_orphans(&mut self, orphans: Vec<Orphan>) {
        // The gauges are of the newest sweep; workers of earlier ones still count into them.
        self.shared.metrics().orphan_volumes.with([]).set(0.0);
        let wanted: BTreeSet<PodUid> = self.sets.values().flatten().map(|d| uid_of(&d.pod)).collect();
        for orphan in orphans {
            if !wanted.contains(&orphan.uid) {
                self.end_orphan(orphan);
            }
        }
    }
}

/// Namespace, name and uid, for the log.
fn name_of(pod: &Pod) -> String {
    format!("{}({})", key_of(pod), uid_of(pod))
}
