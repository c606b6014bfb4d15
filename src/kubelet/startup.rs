//! Follows the starts of the API server's pods and counts how long they take.
//!
//! In: the pods as the watch brings them (from [`crate::kubelet::sources::api`]) and pulls (from
//! [`crate::kubelet::images`]). Static pods are not followed: nobody creates them at the API server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use crate::core::manifest::mirror::is_mirror;
use crate::core::model::{PodUid, uid_of};
use crate::core::pod_start::{PodStart, StartDurations};
use crate::ports::kubelet::PodChange;
use crate::telemetry::Metrics;

/// The starts of all pods.
pub struct StartupTracker {
    metrics: Arc<Metrics>,
    wall: fn() -> Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Pods of the watch; `None` for those that are not followed.
    pods: HashMap<PodUid, Option<PodStart>>,
    /// A pod with a network of its own has started.
    network_seen: bool,
}

impl StartupTracker {
    /// A tracker that knows no pod yet.
    pub fn new(metrics: Arc<Metrics>, wall: fn() -> Timestamp) -> Self {
        Self { metrics, wall, state: Mutex::default() }
    }

    /// Takes in a change of the watch.
    pub fn observe(&self, change: &PodChange) {
        let now = (self.wall)();
        let mut state = self.lock();
        match change {
            PodChange::Listed(pods) => {
                let mut old = std::mem::take(&mut state.pods);
                for pod in pods {
                    let known = old.remove_entry(&uid_of(pod));
                    state.pods.extend(known);
                    self.observe_pod(&mut state, pod, now);
                }
            }
            PodChange::Applied(pod) => self.observe_pod(&mut state, pod, now),
            PodChange::Deleted(pod) => drop(state.pods.remove(&uid_of(pod))),
        }
    }

    fn observe_pod(&self, state: &mut State, pod: &Pod, now: Timestamp) {
        if is_mirror(pod) {
            return;
        }
        let start = state.pods.entry(uid_of(pod)).or_insert_with(|| PodStart::of(pod));
        if let Some(durations) = start.as_mut().and_then(|start| start.observe(pod, now)) {
            self.record(state, durations);
        }
    }

    fn record(&self, state: &mut State, durations: StartDurations) {
        let positive = |duration: SignedDuration| Duration::try_from(duration).unwrap_or_default();
        self.metrics.pod_start_total.observe([], positive(durations.total));
        let Some(sli) = durations.sli else { return };
        self.metrics.pod_start_sli.observe([], positive(sli));
        if durations.has_network && !std::mem::replace(&mut state.network_seen, true) {
            self.metrics.first_network_start.with([]).set(positive(sli).as_secs_f64());
        }
    }

    /// A pull of that pod's image is under way until the guard is dropped.
    pub fn pull<'a>(&'a self, uid: &'a PodUid) -> Pull<'a> {
        let now = (self.wall)();
        self.change(uid, |start| start.pull_began(now));
        Pull { tracker: self, uid }
    }

    fn change(&self, uid: &PodUid, change: impl FnOnce(&mut PodStart)) {
        if let Some(Some(start)) = self.lock().pods.get_mut(uid) {
            change(start);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pull under way; it ends when this is dropped, however it ends.
pub struct Pull<'a> {
    tracker: &'a StartupTracker,
    uid: &'a PodUid,
}

impl Drop for Pull<'_> {
    fn drop(&mut self) {
        let now = (self.tracker.wall)();
        self.tracker.change(self.uid, |start| start.pull_ended(now));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wall() -> Timestamp {
        Timestamp::from_second(130).unwrap()
    }

    fn applied(uid: &str, status: Value) -> PodChange {
        let created = Timestamp::from_second(100).unwrap().to_string();
        let metadata = json!({"name": uid, "uid": uid, "creationTimestamp": created});
        let pod = json!({"metadata": metadata, "spec": {"containers": [{"name": "c"}]}, "status": status});
        PodChange::Applied(serde_json::from_value(pod).unwrap())
    }

    fn running() -> Value {
        json!({"startTime": wall().to_string(), "containerStatuses": [{"name": "c", "image": "i", "imageID": "",
            "ready": true, "restartCount": 0, "state": {"running": {"startedAt": wall().to_string()}}}]})
    }

    #[test]
    fn starts_are_counted_from_the_first_sight_of_a_pod() {
        let metrics = Arc::new(Metrics::default());
        let tracker = StartupTracker::new(metrics.clone(), wall);
        tracker.observe(&applied("old", running()));
        tracker.observe(&applied("new", json!({})));
        drop(tracker.pull(&"new".into()));
        assert_eq!(metrics.pod_start_total.count([]), 0);
        tracker.observe(&applied("new", running()));
        tracker.observe(&applied("new", running()));
        assert_eq!((metrics.pod_start_total.count([]), metrics.pod_start_sli.count([])), (1, 1));
        assert_eq!(metrics.first_network_start.with([]).get(), 30.0);
        tracker.observe(&PodChange::Listed(Vec::new()));
        assert!(tracker.lock().pods.is_empty(), "pods that are gone are forgotten");
    }
}
