//! Runs probes: one task sleeps until the next probe of any pod is due; each run is a short task of its own.
//!
//! Inputs: [`Probes::observe`] by the pods' workers. Outputs: results to read, and the uid of each pod whose result
//! changed on [`Probes::changes`]. Without probes, the task never wakes.

mod attempt;
mod ports;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::ports::ProbePorts;
use crate::core::model::time::Moment;
use crate::core::model::{PodUid, ProbeResult, ProbeResults, ProbeSubject, ProbedContainer, key_of, uid_of};
use crate::core::probes::{DueProbe, PodProbes};
use crate::kubelet::pods::Probes;
use crate::supervise::{caught, caught_call, restarting, spawn};
use crate::telemetry::panics::Task;

/// Queue of changed pods for the pod table.
const CHANGES: usize = 256;

/// The prober. Clones share its state.
#[derive(Clone)]
pub struct Prober {
    shared: Arc<Shared>,
    changes: Arc<Mutex<Option<mpsc::Receiver<PodUid>>>>,
}

struct Shared {
    ports: ProbePorts,
    began: Instant,
    pods: Mutex<HashMap<PodUid, ProbedPod>>,
    wake: Notify,
    changed: mpsc::Sender<PodUid>,
}

struct ProbedPod {
    subject: ProbeSubject,
    probes: PodProbes,
}

impl Prober {
    /// Starts the task that waits for due probes; it exits with `stop`.
    pub fn start(ports: ProbePorts, stop: CancellationToken) -> Self {
        let (changed, changes) = mpsc::channel(CHANGES);
        let shared =
            Arc::new(Shared { ports, began: Instant::now(), pods: Mutex::default(), wake: Notify::new(), changed });
        restarting("prober", &stop.clone(), Arc::clone(&shared), move |shared| {
            Box::pin(Arc::clone(shared).wait_for_due(stop.clone()))
        });
        Self { shared, changes: Arc::new(Mutex::new(Some(changes))) }
    }
}

impl Shared {
    fn pods(&self) -> MutexGuard<'_, HashMap<PodUid, ProbedPod>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn age(&self, container: &ProbedContainer) -> Duration {
        let age = (self.ports.wall)().duration_since(container.started_at);
        Duration::try_from(age).unwrap_or_default()
    }

    async fn wait_for_due(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = self.pods().values().filter_map(|pod| pod.probes.next_due()).min();
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep_until(self.began.later(at)).await,
                    None => std::future::pending().await,
                }
            };
            // All three may be dropped at any time: `Notify` keeps a missed notification.
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = sleep => {}
            }
            for (uid, run) in self.take_due() {
                let shared = Arc::clone(&self);
                let task = Task::of("probe", uid.as_str());
                spawn(task.clone(), async move {
                    if caught(task, Arc::clone(&shared).probe(uid.clone(), run)).await.is_err() {
                        shared.begin_again(&uid);
                    }
                });
            }
        }
    }

    fn take_due(&self) -> Vec<(PodUid, DueProbe)> {
        let now = self.now();
        let mut due = Vec::new();
        let mut panicked = Vec::new();
        for (uid, pod) in self.pods().iter_mut() {
            match caught_call(Task::of("probe", uid.as_str()), || pod.probes.take_due(now)) {
                Ok(runs) => due.extend(runs.into_iter().map(|run| (uid.clone(), run))),
                Err(_) => panicked.push(uid.clone()),
            }
        }
        panicked.iter().for_each(|uid| self.begin_again(uid));
        due
    }

    /// Resets the probes of a pod after a panic; its worker sends them again at its next reconciliation.
    fn begin_again(&self, uid: &PodUid) {
        self.pods().remove(uid);
        self.wake.notify_one();
    }

    async fn probe(self: Arc<Self>, uid: PodUid, run: DueProbe) {
        let began = self.now();
        let Some(subject) = self.pods().get(&uid).map(|pod| pod.subject.clone()) else { return };
        // A run that panicked has no result, like one that could not be executed.
        let task = Task::of("probe", uid.as_str());
        let result = caught(task, attempt::run(&self.ports, &subject, &run)).await.unwrap_or(None);
        self.count(&uid, &subject, &run, result, self.now().saturating_sub(began));
        let changed = {
            let mut pods = self.pods();
            pods.get_mut(&uid).is_some_and(|pod| pod.probes.answer(&run, result, began, self.now()))
        };
        self.wake.notify_one();
        if changed {
            tracing::debug!(pod = %uid, container = run.container, probe = %run.kind, ?result, "a probe's result changed");
            // Fails only if nobody will ever read changes.
            self.changed.send(uid).await.ok();
        }
    }

    /// Counts a run, with the labels of upstream's `pkg/kubelet/prober/prober.go`.
    fn count(&self, uid: &PodUid, subject: &ProbeSubject, run: &DueProbe, result: Option<ProbeResult>, took: Duration) {
        let (kind, key) = (run.kind.to_string(), key_of(&subject.pod));
        let (pod, namespace) = (&*key.name, &*key.namespace);
        let metrics = &self.ports.metrics;
        let word = match result {
            Some(ProbeResult::Success) => "successful",
            Some(ProbeResult::Failure) => "failed",
            None => "unknown",
        };
        metrics.probes.with([&kind, word, &run.container, pod, namespace, uid.as_str()]).inc();
        metrics.probe_duration.observe([&kind, &run.container, pod, namespace], took);
    }
}

impl Probes for Prober {
    fn observe(&self, subject: ProbeSubject) {
        let uid = uid_of(&subject.pod);
        let now = self.shared.now();
        let mut pods = self.shared.pods();
        let pod = pods
            .entry(uid)
            .or_insert_with(|| ProbedPod { subject: subject.clone(), probes: PodProbes::new(now, rand::random()) });
        let before = pod.probes.next_due();
        pod.probes.observe(&subject, now, |container| self.shared.age(container));
        pod.subject = subject;
        if pod.probes.next_due() != before {
            self.shared.wake.notify_one();
        }
    }

    fn forget(&self, uid: &PodUid) {
        let Some(gone) = self.shared.pods().remove(uid) else { return };
        let metrics = &self.shared.ports.metrics;
        metrics.probes.retain(|labels| &*labels[5] != uid.as_str());
        let key = key_of(&gone.subject.pod);
        metrics.probe_duration.retain(|labels| (&*labels[3], &*labels[2]) != (&*key.namespace, &*key.name));
    }

    fn results(&self, uid: &PodUid) -> ProbeResults {
        self.shared.pods().get(uid).map(|pod| pod.probes.results()).unwrap_or_default()
    }

    fn changes(&self) -> mpsc::Receiver<PodUid> {
        let taken = self.changes.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A second caller gets a closed channel.
        taken.unwrap_or_else(|| mpsc::channel(1).1)
    }
}

#[cfg(test)]
mod tests;
