//! One worker per pod: observe, plan, execute, publish; woken by events, by its own passes and by deadlines.
//!
//! The worker never waits for an action: at most one pass runs in a separate task, so that the status is updated while
//! an image is pulled. A command to terminate the pod cancels the pass: only its calls in progress are awaited.

mod deadlines;
pub(super) mod inbox;
mod kept_status;
mod measure;
pub(crate) mod observe;
mod progress;
mod publish;
mod resize;
mod rounds;
mod termination;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::deadlines::Deadlines;
use self::inbox::{Inbox, Mail};
use self::observe::{PodQuery, observe_pod};
use self::rounds::{KILL, Rounds};
use super::calls::Calls;
use super::context::{Event, Shared};
use super::pass::{Pass, PassEnd, Progress};
use crate::core::model::time::Moment;
use crate::core::model::{Observed, PodUid, Rejection, uid_of, with_causes};
use crate::core::plan::{self, Action, EndCause, EndInputs, Facts, Ledger, Replacement, Stage};
use crate::ports::kubelet::{EventKind, EventTarget};
use crate::telemetry::panics::Task;

/// Result of a task beside the worker.
enum Ended {
    Pass(PassEnd),
    /// Volumes and cgroups are removed, or have to be retried: what could not be removed.
    Cleaned(Result<(), String>),
    /// The records are removed, or have to be retried.
    Removed(PassEnd),
}

/// What the table passes to a new worker.
pub(super) struct WorkerSpec {
    pub calls: Calls,
    pub pod: Arc<Pod>,
    pub is_static: bool,
    /// Only remains of the pod exist (no source lists it); no status is reported.
    pub orphan: bool,
    pub rejection: Option<Rejection>,
    /// When the kubelet saw the pod for the first time; `None` if this is not its first worker.
    pub first_seen: Option<Instant>,
}

/// The source of the pod, and whether it still lists it.
struct Source {
    is_static: bool,
    orphan: bool,
    removed: bool,
    /// It is listed again after it was removed: the next worker derives its restart counts from the remaining records.
    returns: bool,
    /// Until the pod was seen to run.
    first_seen: Option<Instant>,
}

/// The status that was last published.
struct Published {
    status: Arc<PodStatus>,
    /// The status that was last stored; for static pods only.
    kept: Arc<PodStatus>,
}

/// Tasks that run beside the worker.
struct Tasks {
    calls: Calls,
    /// The task that is running, at most one.
    running: JoinSet<Ended>,
    progress: (mpsc::UnboundedSender<Progress>, mpsc::UnboundedReceiver<Progress>),
    /// Cancels the current pass.
    off: CancellationToken,
    /// Grace period of the pass that terminates the pod; `None` while another pass runs.
    ending: Option<i64>,
    /// True if the current pass puts a resize in force.
    resizing: bool,
    /// Containers that the current pass replaces.
    replacement: Replacement,
    rounds: Rounds,
}

#[derive(Default)]
struct Failures {
    of_passes: u32,
    /// Failed starts of each container.
    of_starts: BTreeMap<String, u32>,
    last: Option<String>,
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    uid: PodUid,
    pod: Arc<Pod>,
    source: Source,
    rejection: Option<Rejection>,
    observed: Observed,
    ledger: Ledger,
    stage: Stage,
    published: Published,
    /// Messages that have been taken but not handled yet.
    mail: Mail,
    tasks: Tasks,
    deadlines: Deadlines,
    failures: Failures,
    /// The pod before the current resize, until the pod's own size is in force.
    resize_from: Option<Arc<Pod>>,
}

impl Worker {
    pub fn new(shared: Arc<Shared>, inbox: Arc<Inbox>, spec: WorkerSpec) -> Self {
        let uid = uid_of(&spec.pod);
        let status = Arc::new(spec.pod.status.clone().unwrap_or_default());
        let max_backoff = SignedDuration::try_from(shared.settings.max_restart_backoff).unwrap_or_default();
        let WorkerSpec { calls, pod, is_static, orphan, rejection, first_seen } = spec;
        Self {
            shared,
            inbox,
            uid,
            pod,
            source: Source { is_static, orphan, removed: orphan, returns: false, first_seen },
            rejection,
            observed: Observed::default(),
            ledger: Ledger { max_backoff, ..Ledger::default() },
            stage: Stage::Waiting,
            published: Published { status, kept: Arc::default() },
            mail: Mail { look: true, ..Mail::default() },
            tasks: Tasks {
                calls,
                running: JoinSet::new(),
                progress: mpsc::unbounded_channel(),
                off: CancellationToken::new(),
                ending: None,
                resizing: false,
                replacement: Replacement::default(),
                rounds: Rounds::default(),
            },
            deadlines: Deadlines::default(),
            failures: Failures::default(),
            resize_from: None,
        }
    }

    /// Runs until nothing of the pod remains and no source lists it.
    pub async fn run(mut self) {
        // Those of a previous worker, which panicked.
        self.tasks.calls.settled().await;
        if let Some(seen) = self.source.first_seen {
            self.shared.metrics().pod_worker_start.observe([], seen.elapsed());
        }
        self.recall().await;
        self.note_refusal().await;
        loop {
            self.read_mail();
            if std::mem::take(&mut self.mail.look) {
                self.tasks.rounds.begin();
                self.look().await;
            }
            if self.deadlines.look.is_none() {
                self.settle().await;
                self.remember().await;
                let ended = self.tasks.rounds.end();
                self.count_round(ended);
            }
            if matches!(self.stage, Stage::Finished { records_removed: true, .. }) {
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
                self.tasks.rounds.updated();
                self.try_again();
                self.mail.objects = true;
            }
            if matches!(self.stage, Stage::Finished { .. }) {
                self.shared.ports.statuses.finished(&self.pod, self.source.is_static);
            }
        }
        if let Some(pending) = new.resize_pending {
            self.ledger.resize.pending = pending;
        }
        if new.objects {
            self.try_again();
        }
        self.source.removed |= new.removed;
        self.source.returns = new.returns.unwrap_or(self.source.returns);
        self.mail.waiters.extend(new.waiters);
        if let Some(kill) = new.kill {
            self.end(EndCause::Killed(kill));
        }
        self.mail.exited.extend(new.exited);
        self.mail.look |= new.look || new.fresh;
        self.mail.fresh |= new.fresh;
        self.mail.objects |= new.objects;
        self.mail.remove_dead |= new.remove_dead;
    }

    /// Resets the delays after failures: their cause may be resolved.
    fn try_again(&mut self) {
        self.deadlines.retry = None;
        for waiting in self.ledger.waiting.values_mut() {
            waiting.retry_at = None;
        }
    }

    fn now(&self) -> Timestamp {
        (self.shared.ports.instruments.wall)()
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
        let look = PodQuery {
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
        let metrics = self.shared.metrics();
        let began = self.shared.looks.begin(metrics);
        let found = observe_pod(&look).await;
        self.shared.looks.end(metrics, began, found.is_ok().then(|| self.now()));
        match found {
            Ok(observed) => {
                self.observed = observed;
                self.deadlines.look = None;
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), uid = %self.uid, "the runtime could not be read");
                self.failures.last = Some(error.to_string());
                self.mail.exited = exited;
                self.mail.fresh = fresh;
                self.deadlines.look = Some(self.now().later(SignedDuration::from_secs(1)));
                self.deadlines.wake = None;
            }
        }
    }

    /// Derives the next stage, the next pass and the next status.
    async fn settle(&mut self) {
        let now = self.now();
        self.deadlines.wake = None;
        self.decide_end(now);
        let plan = self.plan(now);
        let derived = self.derive(now);
        // A container that is about to be restarted does not finish its pod, whatever its restart policy.
        if derived.terminal && self.ledger.end.is_none() && !self.tasks.replacement.is_down(&self.observed) {
            self.end(EndCause::Completed);
        }
        self.step();
        if self.stage.ends() {
            self.advance_end(now);
        } else if self.tasks.running.is_empty() && self.deadlines.may_begin(now) {
            self.begin_next(plan.actions, now);
        }
        self.deadlines.wake_by(plan.wake_at);
        self.tell(now);
        self.tell_probes();
        if std::mem::take(&mut self.mail.objects) && self.stage == Stage::Running {
            self.refresh_volumes();
        }
    }

    /// Finds reasons to terminate the pod; a later one may shorten the grace period.
    fn decide_end(&mut self, now: Timestamp) {
        let reasons = plan::decide_end(&EndInputs {
            pod: &self.pod,
            is_static: self.source.is_static,
            status: &self.published.status,
            removed: self.source.removed,
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
        self.deadlines.wake = reasons.deadline;
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
                busy: !self.tasks.running.is_empty(),
            };
            let next = self.stage.next(&facts);
            if next == self.stage {
                return;
            }
            tracing::debug!(uid = %self.uid, from = ?self.stage, to = ?next, "stage");
            self.stage = next;
        }
    }

    /// The plan's actions first, then those of a resize, then cleanup.
    fn begin_next(&mut self, mut actions: Vec<Action>, now: Timestamp) {
        self.tasks.resizing = false;
        if actions.is_empty() {
            actions = self.plan_resize(now);
            self.tasks.resizing = !actions.is_empty();
        }
        if actions.is_empty() && self.deadlines.removal.is_due(now) {
            actions = plan::surplus(&self.observed);
        }
        self.begin(actions, None);
    }

    /// A pass for the pod in its current state.
    fn pass(&self) -> Pass {
        Pass::new(
            Arc::clone(&self.shared),
            self.tasks.calls.clone(),
            self.uid.clone(),
            Arc::clone(&self.pod),
            self.source.is_static,
            self.observed.clone(),
            self.tasks.progress.0.clone(),
        )
    }

    fn begin(&mut self, actions: Vec<Action>, ending: Option<i64>) {
        if actions.is_empty() {
            return;
        }
        self.tasks.ending = ending;
        self.tasks.rounds.begin_pass(ending.map(|_| KILL));
        self.tasks.replacement = Replacement::of(&actions);
        self.tasks.off = if ending.is_some() { CancellationToken::new() } else { self.inbox.until_the_end() };
        let (pass, off) = (self.pass(), self.tasks.off.clone());
        let task = Task::of("pod pass", self.uid.as_str());
        self.tasks.running.spawn(async move { Ended::Pass(pass.execute(task, actions, off).await) });
    }

    async fn wait(&mut self) {
        let now = self.now();
        let interval = SignedDuration::try_from(self.shared.settings.resync).unwrap_or(SignedDuration::from_mins(1));
        let due = self.deadlines.next(now, interval);
        let pause = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        tokio::select! {
            // All arms are safe to drop: the inbox keeps its messages, channels keep theirs, the set keeps its task.
            () = self.inbox.woken() => {}
            Some(progress) = self.tasks.progress.1.recv() => self.read_progress(progress),
            Some(ended) = self.tasks.running.join_next(), if !self.tasks.running.is_empty() => self.read_end(ended),
            () = tokio::time::sleep(pause) => self.mail.look = true,
        }
        let now = self.now();
        if self.deadlines.take_resync(now, interval) {
            self.mail.look = true;
            self.mail.objects = true;
        }
        while let Ok(progress) = self.tasks.progress.1.try_recv() {
            self.read_progress(progress);
        }
    }
}
