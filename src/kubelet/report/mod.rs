//! Publishes pod statuses: urgent ones immediately, with limited concurrency, and only differences.
//!
//! Inputs: statuses of the pod table ([`StatusSink`]), and changes of pods in the API, so that edits by others are
//! overwritten, and a pod marked for deletion is deleted once nothing of it remains on the node.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::core::manifest::mirror::{hash_of, is_mirror};
use crate::core::model::time::Moment;
use crate::core::model::{Backoff, Doubling, PodKey, PodUid, key_of, uid_of, with_causes};
use crate::core::status::{is_urgent, render_mirror_patch, render_status_patch};
use crate::kubelet::api::pods::{ApiPodChange, ApiPodView};
use crate::kubelet::pods::StatusSink;
use crate::ports::kubelet::PodApi;
use crate::ports::node::ApiError;
use crate::supervise::{caught, spawn};
use crate::telemetry::Metrics;
use crate::telemetry::panics::{Task, named};

const PARALLEL: usize = 10;
/// First and longest delay before a failed request is retried.
const RETRY: Backoff = Backoff { first: Duration::from_millis(200), most: Duration::from_secs(10) };
/// Non-urgent changes are batched for this long after a request, so that a start or a termination needs few requests.
const GATHER: Duration = Duration::from_millis(150);
/// Interval of comparing all pods, in case a change was missed.
const RECHECK: Duration = Duration::from_secs(120);

/// The reporter. Clones share its state.
#[derive(Clone)]
pub struct Reporter {
    shared: Arc<Shared>,
}

struct Shared {
    api: Arc<dyn PodApi>,
    view: Arc<ApiPodView>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    pods: HashMap<PodUid, Entry>,
    queue: VecDeque<PodUid>,
}

struct Entry {
    pod: Arc<Pod>,
    is_static: bool,
    status: Arc<PodStatus>,
    finished: bool,
    queued: bool,
    busy: bool,
    /// When the status changed that the API does not have yet.
    changed: Option<Instant>,
    /// When the last request was made.
    sent: Option<Instant>,
    /// A timer is running that sends batched changes.
    gathering: bool,
    retries: Doubling,
}

impl Reporter {
    /// A reporter that has yet to [`run`](Self::run).
    pub fn new(api: Arc<dyn PodApi>, view: Arc<ApiPodView>, metrics: Arc<Metrics>) -> Self {
        let shared = Shared { api, view, metrics, state: Mutex::default(), wake: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Sends until `stop`, then what remains, for at most `flush`.
    pub async fn run(self, stop: CancellationToken, flush: Duration) {
        // Requests of a panicked run were dropped with it.
        self.shared.lock().pods.values_mut().for_each(|entry| entry.busy = false);
        let mut changes = self.shared.view.subscribe();
        let mut recheck = interval(RECHECK);
        let mut sending = JoinSet::new();
        loop {
            while sending.len() < PARALLEL
                && let Some(uid) = self.shared.take()
            {
                let shared = self.shared.clone();
                sending.spawn(named("status of a pod".into(), async move { shared.send(uid).await }));
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.shared.wake.notified() => {}
                Some(_) = sending.join_next() => {}
                _ = recheck.tick() => self.shared.enqueue_all(),
                change = changes.recv() => match change {
                    Ok(change) => self.shared.enqueue_changed(&change),
                    Err(RecvError::Lagged(_)) => self.shared.enqueue_all(),
                    Err(RecvError::Closed) => return,
                },
            }
        }
        let deadline = Instant::now().later(flush);
        self.shared.enqueue_gathered();
        while let Some(uid) = self.shared.take() {
            let shared = self.shared.clone();
            sending.spawn(named("status of a pod".into(), async move { shared.send(uid).await }));
        }
        let _ = tokio::time::timeout_at(deadline, async { while sending.join_next().await.is_some() {} }).await;
    }
}

impl StatusSink for Reporter {
    fn publish(&self, pod: &Arc<Pod>, is_static: bool, status: &Arc<PodStatus>) {
        let update = |entry: &mut Entry| {
            let urgent = is_urgent(&entry.status, status);
            entry.status = status.clone();
            entry.changed.get_or_insert_with(Instant::now);
            urgent
        };
        self.shared.update(pod, is_static, update);
    }

    fn finished(&self, pod: &Arc<Pod>, is_static: bool) {
        let update = |entry: &mut Entry| {
            entry.finished = true;
            true
        };
        self.shared.update(pod, is_static, update);
    }

    fn forget(&self, uid: &PodUid) {
        self.shared.lock().pods.remove(uid);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Updates the state of a pod; `change` returns whether it is urgent.
    fn update(self: &Arc<Self>, pod: &Arc<Pod>, is_static: bool, change: impl FnOnce(&mut Entry) -> bool) {
        let uid = uid_of(pod);
        let mut state = self.lock();
        let entry = state.pods.entry(uid.clone()).or_insert_with(|| Entry {
            pod: pod.clone(),
            is_static,
            status: Arc::new(pod.status.clone().unwrap_or_default()),
            finished: false,
            queued: false,
            busy: false,
            changed: None,
            sent: None,
            gathering: false,
            retries: RETRY.doubling(),
        });
        entry.pod = pod.clone();
        let urgent = change(entry);
        let gather = entry.sent.map(|sent| sent.later(GATHER)).filter(|until| !urgent && *until > Instant::now());
        let Some(until) = gather else {
            enqueue(&mut state, &uid);
            drop(state);
            return self.wake.notify_one();
        };
        if !std::mem::replace(&mut entry.gathering, true) {
            let shared = Arc::clone(self);
            spawn("status of a pod", async move {
                sleep_until(until).await;
                let mut state = shared.lock();
                if let Some(entry) = state.pods.get_mut(&uid) {
                    entry.gathering = false;
                }
                enqueue(&mut state, &uid);
                drop(state);
                shared.wake.notify_one();
            });
        }
    }

    fn enqueue_changed(&self, change: &ApiPodChange) {
        let mut state = self.lock();
        // A pod with batched changes is sent soon.
        let free = |entry: &Entry| !entry.gathering;
        if !change.mirror {
            if state.pods.get(&change.uid).is_some_and(free) {
                enqueue(&mut state, &change.uid);
            }
            return;
        }
        let statics = state.pods.iter().filter(|(_, e)| e.is_static && free(e) && key_of(&e.pod) == change.key);
        let uids: Vec<PodUid> = statics.map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            enqueue(&mut state, &uid);
        }
    }

    fn enqueue_all(&self) {
        let mut state = self.lock();
        let uids: Vec<PodUid> = state.pods.keys().cloned().collect();
        for uid in uids {
            enqueue(&mut state, &uid);
        }
    }

    fn enqueue_gathered(&self) {
        let mut state = self.lock();
        let gathered = state.pods.iter().filter(|(_, entry)| entry.gathering);
        let uids: Vec<PodUid> = gathered.map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            enqueue(&mut state, &uid);
        }
    }

    /// The next pod that is not being sent already.
    fn take(&self) -> Option<PodUid> {
        let mut state = self.lock();
        for _ in 0..state.queue.len() {
            let uid = state.queue.pop_front()?;
            match state.pods.get_mut(&uid) {
                Some(entry) if entry.busy => state.queue.push_back(uid),
                Some(entry) => {
                    entry.queued = false;
                    entry.busy = true;
                    entry.sent = Some(Instant::now());
                    return Some(uid);
                }
                None => {}
            }
        }
        None
    }

    async fn send(&self, uid: PodUid) {
        let job = {
            let mut state = self.lock();
            let entry = state.pods.get_mut(&uid);
            entry.map(|e| (e.pod.clone(), e.is_static, e.status.clone(), e.finished, e.changed.take()))
        };
        let changed = job.as_ref().and_then(|(.., changed)| *changed);
        let outcome = match job {
            Some((pod, is_static, status, finished, _)) => {
                let task = Task::of("status of a pod", uid.as_str());
                // After a panic it is sent again, as after a failure.
                match caught(task, self.bring(&pod, is_static, &status, finished)).await {
                    Ok(brought) => brought,
                    Err(panicked) => {
                        Err(ApiError::Unreachable { what: "status".into(), message: panicked.to_string() })
                    }
                }
            }
            None => Ok(false),
        };
        let pause = {
            let mut state = self.lock();
            let Some(entry) = state.pods.get_mut(&uid) else { return };
            entry.busy = false;
            match (&outcome, changed) {
                (Ok(true), Some(changed)) => self.metrics.pod_status_sync.observe([], changed.elapsed()),
                // What the API does not have yet has been waiting since then.
                (_, changed) => entry.changed = changed.or(entry.changed),
            }
            match &outcome {
                Ok(_) => {
                    entry.retries.reset();
                    None
                }
                Err(_) => Some(entry.retries.pause()),
            }
        };
        if let (Err(error), Some(pause)) = (outcome, pause) {
            debug!(%uid, error = with_causes(&error), "status not sent; it will be retried");
            sleep(pause).await;
            enqueue(&mut self.lock(), &uid);
        }
        self.wake.notify_one();
    }

    /// Makes the API's status equal to ours, and ends an API pod of which nothing is left. `Ok(true)` if the API has it.
    async fn bring(&self, pod: &Pod, is_static: bool, status: &PodStatus, finished: bool) -> Result<bool, ApiError> {
        let key = key_of(pod);
        let Some(target) = self.target(pod, is_static, &key) else { return Ok(false) };
        let uid = target.metadata.uid.as_deref().unwrap_or_default();
        let old = target.status.clone().unwrap_or_default();
        let mut current = target.clone();
        // A static pod has no generation: the generation of its mirror pod was not observed (upstream leaves it empty).
        let render = if is_static { render_mirror_patch } else { render_status_patch };
        if let Some(patch) = render(uid, &old, status) {
            match self.api.patch_status(&key, &patch).await {
                Ok(answer) => {
                    debug!(%key, pod_phase = status.phase, patch = %patch, "status published");
                    current = Arc::new(answer);
                    self.view.renew(&current);
                }
                Err(ApiError::NotFound(_)) => return Ok(false),
                // Another pod took the name; ours is gone from the API.
                Err(ApiError::Conflict { .. }) => return Ok(false),
                Err(error @ ApiError::Refused { .. }) => {
                    warn!(%key, error = with_causes(&error), "status rejected");
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        if !is_static && finished && current.metadata.deletion_timestamp.is_some() {
            return match self.api.delete_now(&key, uid).await {
                Ok(()) => {
                    info!(%key, %uid, "pod deleted from the API: nothing is left of it");
                    Ok(true)
                }
                Err(ApiError::NotFound(_) | ApiError::Conflict { .. }) => Ok(true),
                Err(error) => Err(error),
            };
        }
        Ok(true)
    }

    /// The API object with the pod's status: the pod itself, or the mirror pod of the same manifest.
    fn target(&self, pod: &Pod, is_static: bool, key: &PodKey) -> Option<Arc<Pod>> {
        let found = self.view.by_key(key)?;
        let fits = if is_static {
            is_mirror(&found) && hash_of(&found) == hash_of(pod)
        } else {
            found.metadata.uid == pod.metadata.uid
        };
        fits.then_some(found)
    }
}

fn enqueue(state: &mut State, uid: &PodUid) {
    if let Some(entry) = state.pods.get_mut(uid)
        && !entry.queued
    {
        entry.queued = true;
        state.queue.push_back(uid.clone());
    }
}

#[cfg(test)]
mod tests;
