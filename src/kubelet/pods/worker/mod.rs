//! One worker per pod: look, plan, act, tell; woken by hints, by its own passes and by the clock.
//!
//! The worker never waits for an action: a pass runs beside it (at most one), so that the status follows while an image
//! is pulled. An order to end the pod calls the pass off: only what it has sent to the runtime is waited for.

pub(super) mod inbox;
mod kept_status;
pub(crate) mod observe;
mod progress;
mod publish;
mod resize;
mod termination;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::inbox::{Inbox, Mail};
use self::observe::{Look, observe_pod};
use super::calls::Calls;
use super::context::{Event, Shared};
use super::pass::{Pass, PassEnd, Progress};
use crate::core::model::time::Moment;
use crate::core::model::{Observed, PodUid, Rejection, uid_of};
use crate::core::plan::{self, Action, EndCause, EndInputs, Facts, Ledger, RemovalBackoff, Replacement, Stage};
use crate::ports::{EventKind, EventTarget};
use crate::telemetry::panics::Task;

/// What a task beside the worker came to.
enum Ended {
    Pass(PassEnd),
    /// Volumes and cgroups are gone, or are to be tried again: what could not be removed.
    Cleaned(Result<(), String>),
    /// The records are removed, or are to be tried again.
    Removed(PassEnd),
}

/// What the table knows when it makes a worker.
pub(super) struct WorkerSpec {
    pub calls: Calls,
    pub pod: Arc<Pod>,
    pub is_static: bool,
    /// The pod is known by its leftovers only; nothing is told about it.
    pub orphan: bool,
    pub rejection: Option<Rejection>,
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    uid: PodUid,
    pod: Arc<Pod>,
    is_static: bool,
    orphan: bool,
    rejection: Option<Rejection>,
    observed: Observed,
    seen: bool,
    ledger: Ledger,
    status: Arc<PodStatus>,
    /// The status as it was kept last; of static pods only.
    kept: Arc<PodStatus>,
    stage: Stage,
    last_error: Option<String>,
    mail: Mail,
    waiters: Vec<oneshot::Sender<()>>,
    progress: (mpsc::UnboundedSender<Progress>, mpsc::UnboundedReceiver<Progress>),
    calls: Calls,
    task: JoinSet<Ended>,
    /// Calls the pass under way off.
    off: CancellationToken,
    /// Grace of the pass that ends the pod; none while another pass runs.
    ending: Option<i64>,
    failures: u32,
    start_failures: BTreeMap<String, u32>,
    /// The pod before the resize under way, until its own size is in force.
    resize_from: Option<Arc<Pod>>,
    resize_retry: Option<Timestamp>,
    /// When the runtime is to be read again after it could not be; until then what is known may be wrong.
    look_at: Option<Timestamp>,
    resizing: bool,
    retry_at: Option<Timestamp>,
    wake_at: Option<Timestamp>,
    /// When the runtime and the objects are looked at again whatever happens.
    resync_at: Timestamp,
    removal: RemovalBackoff,
    replacement: Replacement,
    cleaned: bool,
    told_finished: bool,
    records_removed: bool,
    removed: bool,
    /// The next worker counts its restarts by the records that are left.
    returns: bool,
}

impl Worker {
    pub fn new(shared: Arc<Shared>, inbox: Arc<Inbox>, spec: WorkerSpec) -> Self {
        let uid = uid_of(&spec.pod);
        let status = spec.pod.status.clone().unwrap_or_default();
        let max_backoff = SignedDuration::try_from(shared.settings.max_restart_backoff).unwrap_or_default();
        Self {
            shared,
            inbox,
            uid,
            pod: spec.pod,
            is_static: spec.is_static,
            orphan: spec.orphan,
            rejection: spec.rejection,
            observed: Observed::default(),
            seen: false,
            ledger: Ledger { max_backoff, ..Ledger::default() },
            status: Arc::new(status),
            kept: Arc::default(),
            stage: Stage::Waiting,
            last_error: None,
            mail: Mail { look: true, ..Mail::default() },
            waiters: Vec::new(),
            progress: mpsc::unbounded_channel(),
            calls: spec.calls,
            task: JoinSet::new(),
            off: CancellationToken::new(),
            ending: None,
            failures: 0,
            start_failures: BTreeMap::new(),
            resize_from: None,
            resize_retry: None,
            look_at: None,
            resizing: false,
            retry_at: None,
            wake_at: None,
            resync_at: Timestamp::MAX,
            removal: RemovalBackoff::default(),
            replacement: Replacement::default(),
            cleaned: false,
            told_finished: false,
            records_removed: false,
            removed: spec.orphan,
            returns: false,
        }
    }

    /// Until nothing is left of the pod and no source lists it.
    pub async fn run(mut self) {
        // Those of a worker before, which panicked.
        self.calls.settled().await;
        self.recall().await;
        self.note_refusal().await;
        loop {
            self.read_mail();
            if std::mem::take(&mut self.mail.look) {
                self.look().await;
            }
            if self.seen && self.look_at.is_none() {
                self.settle().await;
                self.remember().await;
            }
            if self.records_removed {
                break;
            }
            self.wait().await;
        }
        if self.rejection.is_some() {
            self.note_refusal().await;
        }
        let _ = self.shared.events.send(Event::Gone(self.uid.clone())).await;
    }

    fn read_mail(&mut self) {
        let new = self.inbox.take();
        if let Some(pod) = new.pod {
            let changed = pod.spec != self.pod.spec || pod.metadata != self.pod.metadata;
            let before = std::mem::replace(&mut self.pod, pod);
            if new.resized {
                self.begin_resize(before);
            }
            if changed {
                self.try_again();
                self.mail.objects = true;
            }
            if self.stage == Stage::Finished {
                self.shared.ports.statuses.finished(&self.pod, self.is_static);
            }
        }
        if let Some(pending) = new.resize_pending {
            self.ledger.resize.pending = pending;
        }
        if new.objects {
            self.try_again();
        }
        self.removed |= new.removed;
        self.returns = new.returns.unwrap_or(self.returns);
        self.waiters.extend(new.waiters);
        if let Some(kill) = new.kill {
            self.end(EndCause::Killed(kill));
        }
        self.mail.exited.extend(new.exited);
        self.mail.look |= new.look || new.fresh;
        self.mail.fresh |= new.fresh;
        self.mail.objects |= new.objects;
    }

    /// Pauses after failures end: what they were about may have changed.
    fn try_again(&mut self) {
        self.retry_at = None;
        for waiting in self.ledger.waiting.values_mut() {
            waiting.retry_at = None;
        }
    }

    fn now(&self) -> Timestamp {
        (self.shared.ports.wall)()
    }

    fn end(&mut self, cause: EndCause) {
        let end = plan::end_pod(self.ledger.end.as_ref(), cause, &self.pod, self.now());
        self.ledger.end = Some(end);
    }

    async fn look(&mut self) {
        let exited = std::mem::take(&mut self.mail.exited);
        let fresh = std::mem::take(&mut self.mail.fresh);
        let ports = &self.shared.ports;
        let spec = self.pod.spec.as_ref();
        let look = Look {
            runtime: &*ports.runtime,
            files: &*ports.files,
            uid: &self.uid,
            before: &self.observed,
            exited: &exited,
            fresh,
            ending: self.ledger.end.is_some(),
            containers: spec
                .map_or(1, |s| s.containers.len().saturating_add(s.init_containers.as_ref().map_or(0, Vec::len))),
        };
        match observe_pod(&look).await {
            Ok(observed) => {
                self.observed = observed;
                self.seen = true;
                self.look_at = None;
            }
            Err(error) => {
                tracing::warn!(%error, uid = %self.uid, "the runtime could not be read");
                self.last_error = Some(error.to_string());
                self.mail.exited = exited;
                self.mail.fresh = fresh;
                self.look_at = Some(self.now().later(SignedDuration::from_secs(1)));
                self.wake_at = None;
            }
        }
    }

    /// From the facts to the next stage, the next pass and the next status.
    async fn settle(&mut self) {
        let now = self.now();
        self.wake_at = None;
        self.decide_end(now);
        let plan = self.plan(now);
        let derived = self.derive(now);
        // A container that is about to be started again is not the end of its pod, whatever its restart policy.
        if derived.terminal && self.ledger.end.is_none() && !self.replacement.is_down(&self.observed) {
            self.end(EndCause::Completed);
        }
        self.step();
        if self.stage.ends() {
            self.advance_end(now);
        } else if self.task.is_empty() && self.retry_at.is_none_or(|at| at <= now) {
            self.begin_next(plan.actions, now);
        }
        self.wake_at = [self.wake_at, plan.wake_at].into_iter().flatten().min();
        self.tell(now);
        self.tell_probes();
        if std::mem::take(&mut self.mail.objects) && self.stage == Stage::Running {
            self.refresh_volumes();
        }
    }

    /// Finds reasons to end the pod; a later one may shorten the grace.
    fn decide_end(&mut self, now: Timestamp) {
        let reasons = plan::decide_end(&EndInputs {
            pod: &self.pod,
            is_static: self.is_static,
            status: &self.status,
            removed: self.removed,
            rejected: self.rejection.is_some(),
            ends: self.ledger.end.is_some(),
            now,
        });
        for cause in reasons.causes {
            if cause == EndCause::DeadlineExceeded {
                let message = "Pod was active on the node longer than the specified deadline".to_owned();
                let target = EventTarget::Pod(&self.pod);
                self.shared.ports.events.record(target, EventKind::Normal, "DeadlineExceeded", message);
            }
            self.end(cause);
        }
        self.wake_at = reasons.deadline;
    }

    fn plan(&mut self, now: Timestamp) -> plan::Plan {
        if self.ledger.end.is_some() {
            return plan::Plan::default();
        }
        let probes = self.shared.ports.probes.results(&self.uid);
        let inputs =
            plan::Inputs { pod: &self.pod, observed: &self.observed, ledger: &self.ledger, probes: &probes, now };
        let plan = plan::plan(&inputs);
        for (name, waiting) in &plan.waiting {
            if self.ledger.waiting.get(name) != Some(waiting) {
                self.tell_backoff(name);
                self.ledger.waiting.insert(name.clone(), waiting.clone());
            }
        }
        plan
    }

    fn step(&mut self) {
        loop {
            let facts = Facts {
                admitted: self.rejection.is_none(),
                ends: self.ledger.end.is_some(),
                observed: &self.observed,
                busy: !self.task.is_empty(),
                cleaned: self.cleaned,
            };
            let next = self.stage.next(&facts);
            if next == self.stage {
                return;
            }
            tracing::debug!(uid = %self.uid, from = ?self.stage, to = ?next, "stage");
            self.stage = next;
        }
    }

    /// What the plan says; then what a resize needs; then what is not needed any more.
    fn begin_next(&mut self, mut actions: Vec<Action>, now: Timestamp) {
        self.resizing = false;
        if actions.is_empty() {
            actions = self.plan_resize(now);
            self.resizing = !actions.is_empty();
        }
        if actions.is_empty() && self.removal.is_due(now) {
            actions = plan::surplus(&self.observed);
        }
        self.begin(actions, None);
    }

    /// A pass for the pod as it stands.
    fn pass(&self) -> Pass {
        Pass::new(
            Arc::clone(&self.shared),
            self.calls.clone(),
            self.uid.clone(),
            Arc::clone(&self.pod),
            self.is_static,
            self.observed.clone(),
            self.progress.0.clone(),
        )
    }

    fn begin(&mut self, actions: Vec<Action>, ending: Option<i64>) {
        if actions.is_empty() {
            return;
        }
        self.ending = ending;
        self.replacement = Replacement::of(&actions);
        self.off = if ending.is_some() { CancellationToken::new() } else { self.inbox.until_the_end() };
        let (pass, off) = (self.pass(), self.off.clone());
        let task = Task::of("pod pass", self.uid.as_str());
        self.task.spawn(async move { Ended::Pass(pass.execute(task, actions, off).await) });
    }

    async fn wait(&mut self) {
        let now = self.now();
        let interval = SignedDuration::try_from(self.shared.settings.resync).unwrap_or(SignedDuration::from_mins(1));
        // Other wake-ups do not put it off, and a clock that was set back does not either.
        self.resync_at = self.resync_at.min(now.later(interval));
        let later = |at: Option<Timestamp>| at.filter(|at| *at > now);
        let due = [
            self.wake_at,
            later(self.retry_at),
            later(self.resize_retry),
            later(self.removal.next()),
            self.look_at,
            Some(self.resync_at),
        ];
        let due = due.into_iter().flatten().min().unwrap_or(self.resync_at);
        let pause = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        tokio::select! {
            // All arms are safe to drop: the inbox keeps its mail, channels keep their messages, the set keeps its task.
            () = self.inbox.woken() => {}
            Some(progress) = self.progress.1.recv() => self.read_progress(progress),
            Some(ended) = self.task.join_next(), if !self.task.is_empty() => self.read_end(ended),
            () = tokio::time::sleep(pause) => self.mail.look = true,
        }
        let now = self.now();
        if now >= self.resync_at {
            self.mail.look = true;
            self.mail.objects = true;
            self.resync_at = now.later(interval);
        }
        while let Ok(progress) = self.progress.1.try_recv() {
            self.read_progress(progress);
        }
    }
}
