//! The pod table's task: takes sets and events, keeps one worker per pod and one running static pod per name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use super::inbox::Inbox;
use super::leftovers::{Leftover, observe_leftovers};
use super::resize::resize_text;
use super::run::{Event, Shared};
use super::start_counts::rejection_label;
use super::statics::Statics;
use super::weights::Active;
use super::worker::{Birth, Worker};
use crate::core::admission::without_surplus;
use crate::core::model::time::Moment;
use crate::core::model::{
    ContainerId, DesiredPod, DesiredSet, PodKey, PodKill, PodUid, Rejection, SourceKind, Verdict, key_of, uid_of,
};
use crate::core::plan::resize::{Pending, infeasible, resources_differ, with_resources_of, with_resources_of_status};
use crate::core::status::is_terminal;
use crate::ports::{EventKind, EventTarget, ObjectChange, Pods, RuntimeEvent};
use crate::supervise::{Panicked, Pauses, caught, caught_call, spawn};
use crate::telemetry::panics::Task;

/// One pod that has a worker.
pub(super) struct Entry {
    pub(super) inbox: Arc<Inbox>,
    calls: Calls,
    /// As its source wants it.
    pub(super) pod: Arc<Pod>,
    /// With the resources that are allocated to it.
    allocated: Arc<Pod>,
    /// Why other resources are not allocated yet.
    pending: Option<Pending>,
    pub(super) key: PodKey,
    pub(super) is_static: bool,
    pub(super) orphan: bool,
    pub(super) rejection: Option<Rejection>,
    /// Its sources have dropped it; it is not taken up again, a new worker follows.
    pub(super) removed: bool,
    /// A source wants it again.
    returns: bool,
    /// The order to end it, which outlives a worker that panics.
    kill: Option<PodKill>,
    pub(super) finished: bool,
    /// When its worker was started, and how often one has panicked.
    started: Instant,
    pauses: Pauses,
}

/// Owner of the table.
pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) entries: HashMap<PodUid, Entry>,
    pub(super) sets: BTreeMap<SourceKind, Vec<DesiredPod>>,
    pub(super) statics: Statics,
    workers: JoinSet<(PodUid, Result<(), Panicked>)>,
    /// Leftovers were looked for since the sources became ready.
    swept: bool,
    /// When to bring the workers in line again after a panic on the way.
    again: Option<Instant>,
    pauses: Pauses,
}

impl Driver {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            entries: HashMap::new(),
            sets: BTreeMap::new(),
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

    fn put(&self, uid: &PodUid, write: impl FnOnce(&mut super::inbox::Mail)) {
        if let Some(entry) = self.entries.get(uid) {
            entry.inbox.put(write);
        }
    }

    fn put_all(&self, write: impl Fn(&mut super::inbox::Mail)) {
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
            // Whoever asked may have gone.
            Event::Ping(answer) => drop(answer.send(())),
            Event::Wake(uid) => self.put(&uid, |mail| mail.look = true),
            Event::Finished(uid) => {
                if let Some(entry) = self.entries.get_mut(&uid) {
                    entry.finished = true;
                }
                self.reconcile();
            }
            Event::Gone(uid) => {
                if let Some(entry) = self.entries.remove(&uid) {
                    self.shared.ports.statuses.forget(&uid);
                    tracing::debug!(pod = %entry.key, %uid, "gone");
                }
                self.shared.table.remove(&uid);
                self.reconcile();
            }
            Event::FormerStatics(found) => self.take_former_statics(found),
            Event::Found(leftovers) => self.take_leftovers(leftovers),
        }
    }

    fn take_set(&mut self, set: DesiredSet) {
        self.sets.insert(set.source, set.pods);
        self.reconcile();
        if self.ready() && !self.swept {
            self.swept = true;
            self.sweep();
        }
    }

    /// Every configured source has spoken.
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
                // Beside the loop: a runtime that hangs must not hold up what needs no runtime.
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
        for entry in self.entries.values() {
            if caught_call("object change", || super::uses::uses(&entry.pod, change)).unwrap_or(true) {
                entry.inbox.put(|mail| mail.objects = true);
            }
        }
    }

    /// Brings the workers in line with what the sources want.
    pub(super) fn reconcile(&mut self) {
        let wanted: Vec<DesiredPod> = self.sets.values().flatten().cloned().collect();
        let uids: BTreeSet<PodUid> = wanted.iter().map(|d| uid_of(&d.pod)).collect();
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
                self.again = Some(Instant::now().later(self.pauses.next(std::time::Duration::ZERO)));
            }
        }
        if let Err(panicked) = caught_call("pod admission", || self.try_refused()) {
            tracing::error!(%panicked, "static pods that were refused are not tried again now");
        }
        if self.again.is_none() {
            self.pauses = Pauses::default();
        }
        self.shared.active.send_replace(Active { pods: self.active(), all: self.ready() });
    }

    /// Brings one worker in line. A panic about one pod must not keep the others from theirs.
    fn take_desired(&mut self, mut desired: DesiredPod) {
        let uid = uid_of(&desired.pod);
        if let Some(pod) = without_surplus(&desired.pod) {
            desired.pod = Arc::new(pod);
        }
        match self.entries.get_mut(&uid) {
            Some(entry) if entry.removed => {}
            Some(entry) => {
                let same = Arc::ptr_eq(&entry.pod, &desired.pod);
                entry.pod = Arc::clone(&desired.pod);
                if resources_differ(&entry.allocated, &entry.pod) {
                    self.resize(&uid, !same);
                } else if !same {
                    entry.allocated = Arc::clone(&desired.pod);
                    entry.pending = None;
                    entry.inbox.put(|mail| {
                        mail.pod = Some(desired.pod);
                        mail.resize_pending = Some(None);
                    });
                }
            }
            None => self.admit(uid, desired),
        }
    }

    /// Gives a new pod a worker, unless its name is still taken or others have to go first.
    fn admit(&mut self, uid: PodUid, desired: DesiredPod) {
        let key = key_of(&desired.pod);
        let is_static = desired.source.is_static();
        if is_static && self.is_name_taken(&uid, &key) {
            return;
        }
        let pod = &desired.pod;
        let over = pod.metadata.deletion_timestamp.is_some()
            || is_terminal(pod.status.as_ref().and_then(|s| s.phase.as_deref()));
        let mut rejection = None;
        if !over {
            match self.shared.ports.admission.admit(pod, is_static, &self.active()) {
                Verdict::Admit => {}
                Verdict::Reject(refused) => {
                    self.shared.ports.metrics.admission_rejections.with([rejection_label(&refused.reason)]).inc();
                    let target = EventTarget::Pod(pod);
                    let events = &self.shared.ports.events;
                    events.record(target, EventKind::Warning, &refused.reason, refused.message.clone());
                    rejection = Some(refused);
                }
                Verdict::Preempt(victims) => {
                    self.preempt(&victims);
                    return;
                }
            }
        }
        let held = with_resources_of_status(pod);
        let waits = rejection.is_none() && !over && resources_differ(&held, pod);
        let allocated = if waits { Arc::new(held) } else { Arc::clone(pod) };
        let wanted = desired.pod;
        let calls = Calls::new(&self.shared, uid.clone());
        self.spawn(uid.clone(), key, Birth { calls, pod: allocated, is_static, orphan: false, rejection });
        if waits {
            // A resize that was under way when the kubelet stopped is taken up again.
            if let Some(entry) = self.entries.get_mut(&uid) {
                entry.pod = wanted;
            }
            self.resize(&uid, true);
        }
    }

    /// Allocates other resources to a pod when they fit; else it goes on with those it has, and it is tried again with
    /// every change of the table.
    fn resize(&mut self, uid: &PodUid, newer: bool) {
        let Some(entry) = self.entries.get(uid) else { return };
        let others: Vec<_> = self.active().into_iter().filter(|pod| uid_of(pod) != *uid).collect();
        let pending = infeasible(&self.shared.ports.node.borrow(), &entry.pod, &entry.allocated).or_else(|| {
            match self.shared.ports.admission.admit(&entry.pod, false, &others) {
                Verdict::Admit => None,
                Verdict::Reject(Rejection { message, .. }) => Some(Pending::Deferred(message)),
                // Critical pods do not end others to grow.
                Verdict::Preempt(_) => {
                    Some(Pending::Deferred("The node has no room for it beside its other pods".to_owned()))
                }
            }
        });
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let events = &self.shared.ports.events;
        match pending {
            None => {
                entry.allocated = Arc::clone(&entry.pod);
                entry.pending = None;
                events.record(
                    EventTarget::Pod(&entry.pod),
                    EventKind::Normal,
                    "ResizeStarted",
                    format!("Pod resize started: {}", resize_text(&entry.pod)),
                );
                let pod = Arc::clone(&entry.pod);
                entry.inbox.put(|mail| {
                    mail.pod = Some(pod);
                    mail.resized = true;
                    mail.resize_pending = Some(None);
                });
            }
            Some(pending) => {
                if entry.pending.as_ref() != Some(&pending) {
                    let message = pending.message().to_owned();
                    events.record(EventTarget::Pod(&entry.pod), EventKind::Warning, pending.event(), message);
                } else if !newer {
                    return;
                }
                entry.pending = Some(pending.clone());
                entry.allocated = Arc::new(with_resources_of(&entry.pod, &entry.allocated));
                let pod = Arc::clone(&entry.allocated);
                entry.inbox.put(|mail| {
                    mail.pod = Some(pod);
                    mail.resize_pending = Some(Some(pending));
                });
            }
        }
    }

    /// Pods that count for admission. A pod that its source has dropped does not, although it may still end: whoever
    /// schedules does not count it either (upstream asks its pod manager, which forgets such pods at once).
    pub(super) fn active(&self) -> Vec<Arc<Pod>> {
        let terminal = |pod: &Pod| is_terminal(pod.status.as_ref().and_then(|s| s.phase.as_deref()));
        let counts = |e: &&Entry| !e.finished && !e.removed && e.rejection.is_none() && !terminal(&e.pod);
        let active = self.entries.values().filter(counts);
        active.map(|e| Arc::clone(&e.allocated)).collect()
    }

    /// Ends pods so that a critical one can be admitted; it is tried again when they are finished.
    fn preempt(&mut self, victims: &[PodUid]) {
        for uid in victims {
            let Some(entry) = self.entries.get_mut(uid) else { continue };
            let message = "Preempted in order to admit critical pod".to_owned();
            let target = EventTarget::Pod(&entry.pod);
            self.shared.ports.events.record(target, EventKind::Warning, "Preempting", message.clone());
            let disruption = "Pod was preempted by Kubelet to accommodate a critical pod.".to_owned();
            let kill =
                PodKill { reason: "Preempting".into(), message, grace_seconds: None, disruption: Some(disruption) };
            entry.kill = Some(kill.clone());
            entry.inbox.put(|mail| mail.kill = Some(kill));
        }
    }

    pub(super) fn spawn(&mut self, uid: PodUid, key: PodKey, birth: Birth) {
        let inbox = Arc::new(Inbox::default());
        let entry = Entry {
            inbox: Arc::clone(&inbox),
            calls: birth.calls.clone(),
            pod: Arc::clone(&birth.pod),
            allocated: Arc::clone(&birth.pod),
            pending: None,
            key,
            is_static: birth.is_static,
            orphan: birth.orphan,
            rejection: birth.rejection.clone(),
            removed: birth.orphan,
            returns: false,
            kill: None,
            finished: false,
            started: Instant::now(),
            pauses: Pauses::default(),
        };
        self.entries.insert(uid.clone(), entry);
        self.start_worker(uid, inbox, birth, std::time::Duration::ZERO);
    }

    fn start_worker(&mut self, uid: PodUid, inbox: Arc<Inbox>, birth: Birth, pause: std::time::Duration) {
        let (shared, task) = (Arc::clone(&self.shared), Task::of("pod worker", &name_of(&birth.pod)));
        self.workers.spawn(async move {
            tokio::time::sleep(pause).await;
            let worked = caught(task, async { Worker::new(shared, inbox, birth).run().await }).await;
            (uid, worked)
        });
    }

    /// Gives a pod another worker after a pause when its own has panicked. The new one goes on from what it observes;
    /// until then nobody touches the pod's containers.
    fn start_again(&mut self, uid: &PodUid, panicked: &Panicked) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let pause = entry.pauses.next(entry.started.elapsed());
        entry.started = Instant::now().later(pause);
        tracing::error!(pod = %entry.key, %uid, %panicked, ?pause, "the pod's worker is started again");
        let mut pod = Arc::clone(&entry.allocated);
        if let Some(view) = self.shared.table.by_uid(uid) {
            pod = Arc::new(Pod { status: Some((*view.status).clone()), ..(*pod).clone() });
        }
        let (calls, rejection) = (entry.calls.clone(), entry.rejection.clone());
        let birth = Birth { calls, pod, is_static: entry.is_static, orphan: entry.orphan, rejection };
        let (removed, kill, pending) = (entry.removed, entry.kill.clone(), entry.pending.clone());
        // What the worker had taken out already; newer mail stays.
        entry.inbox.put(|mail| {
            mail.removed |= removed;
            mail.kill = mail.kill.take().or(kill);
            mail.resize_pending = mail.resize_pending.take().or(Some(pending));
        });
        let (inbox, pod) = (Arc::clone(&entry.inbox), Arc::clone(&entry.pod));
        self.start_worker(uid.clone(), inbox, birth, pause);
        if !self.entries.get(uid).is_some_and(|entry| entry.orphan) {
            self.report_panic(&pod, panicked);
        }
    }

    fn report_panic(&self, pod: &Pod, panicked: &Panicked) {
        let message = format!("{panicked}; its containers are left alone, and it is tried again");
        let record =
            || self.shared.ports.events.record(EventTarget::Pod(pod), EventKind::Warning, "FailedSync", message);
        // A second panic is in the log as well.
        let _ = caught_call("event", record);
    }

    fn sweep(&self) {
        let shared = Arc::clone(&self.shared);
        spawn("leftover pods", async move {
            let found = observe_leftovers(&shared).await;
            let _ = shared.events.send(Event::Found(found)).await;
        });
    }

    fn take_leftovers(&mut self, leftovers: Vec<Leftover>) {
        let wanted: BTreeSet<PodUid> = self.sets.values().flatten().map(|d| uid_of(&d.pod)).collect();
        for leftover in leftovers {
            if !wanted.contains(&leftover.uid) {
                self.end_leftover(leftover);
            }
        }
    }
}

/// Namespace, name and uid, for the log.
fn name_of(pod: &Pod) -> String {
    format!("{}({})", key_of(pod), uid_of(pod))
}
