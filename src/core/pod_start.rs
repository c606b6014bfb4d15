//! How long a pod took to start, as the SLI of pod start-up latency counts it
//! (kubernetes/community `sig-scalability/slos/pod_startup_latency.md`, upstream
//! `pkg/kubelet/util/pod_startup_latency_tracker.go`).
//!
//! The time runs from the pod's creation until the API server shows all its containers as started. The SLI takes off the
//! time of image pulls and of init containers, and counts only stateless pods that could be scheduled at once.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, Volume};

use super::model::is_terminal;

/// What is known of the start of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodStart {
    /// Pulls that have ended: when each began and ended, in the order of their ends.
    pulls: Vec<(Timestamp, Timestamp)>,
    /// When each pull under way began.
    pulling: Vec<Timestamp>,
    is_recorded: bool,
}

/// How long a start took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartDurations {
    /// From the creation of the pod until its containers were seen to run.
    pub total: SignedDuration,
    /// The same without pulls and init containers; `None` for a pod that the SLI leaves out.
    pub sli: Option<SignedDuration>,
    /// The pod has a network of its own.
    pub has_network: bool,
}

impl PodStart {
    /// The start of a pod that the API server has brought for the first time; `None` if it is not to be followed: it has
    /// started or ended before, or it had to wait for a node.
    pub fn of(pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref();
        let is_new = status.is_none_or(|s| s.start_time.is_none() && !is_terminal(s.phase.as_deref()));
        (is_new && !had_to_wait(pod)).then(Self::default)
    }

    /// An image is being pulled for the pod.
    pub fn pull_began(&mut self, now: Timestamp) {
        self.pulling.push(now);
    }

    /// A pull has ended. Which one is not told: the oldest counts, as with upstream.
    pub fn pull_ended(&mut self, now: Timestamp) {
        if !self.pulling.is_empty() {
            self.pulls.push((self.pulling.remove(0), now));
        }
    }

    /// The API server shows the pod so; gives the durations when it has started, once.
    pub fn observe(&mut self, pod: &Pod, now: Timestamp) -> Option<StartDurations> {
        let created = pod.metadata.creation_timestamp.as_ref()?.0;
        if self.is_recorded || had_to_wait(pod) || !has_started(pod) {
            return None;
        }
        self.is_recorded = true;
        let total = now.duration_since(created);
        let sli = total.saturating_sub(self.pulled()).saturating_sub(initialized(pod));
        let has_network = pod.spec.as_ref().is_none_or(|spec| spec.host_network != Some(true));
        Some(StartDurations { total, sli: (!is_stateful(pod)).then_some(sli), has_network })
    }

    /// The time during which at least one image was being pulled.
    fn pulled(&self) -> SignedDuration {
        let mut sum = SignedDuration::ZERO;
        let mut until = Timestamp::MIN;
        for (began, ended) in &self.pulls {
            let from = (*began).max(until);
            if *ended > from {
                sum = sum.saturating_add(ended.duration_since(from));
                until = *ended;
            }
        }
        sum
    }
}

/// It was not schedulable at once: the time until it was says nothing of this node.
fn had_to_wait(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions.any(|c| c.type_ == "PodScheduled" && c.status == "False")
}

/// Each of its containers runs and says since when.
fn has_started(pod: &Pod) -> bool {
    let runs = |status: &ContainerStatus| {
        status.state.as_ref().and_then(|s| s.running.as_ref()).is_some_and(|running| running.started_at.is_some())
    };
    let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    statuses.is_some_and(|all| !all.is_empty() && all.iter().all(runs))
}

/// How long its init containers ran, those that had to run again included once.
fn initialized(pod: &Pod) -> SignedDuration {
    let statuses = pod.status.iter().flat_map(|s| s.init_container_statuses.iter().flatten());
    let ends = statuses.flat_map(|status| [&status.state, &status.last_state]).filter_map(|state| {
        let end = state.as_ref()?.terminated.as_ref()?;
        Some(end.finished_at.as_ref()?.0.duration_since(end.started_at.as_ref()?.0))
    });
    ends.filter(|took| took.is_positive()).fold(SignedDuration::ZERO, SignedDuration::saturating_add)
}

/// Whether it mounts a volume of another kind than those that the kubelet fills itself.
fn is_stateful(pod: &Pod) -> bool {
    let is_own = |v: &Volume| {
        v.secret.is_some()
            || v.config_map.is_some()
            || v.downward_api.is_some()
            || v.empty_dir.is_some()
            || v.projected.is_some()
    };
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).any(|volume| !is_own(volume))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pod(status: Value, spec: Value) -> Pod {
        let created = json!({"creationTimestamp": at(100).to_string()});
        serde_json::from_value(json!({"metadata": created, "spec": spec, "status": status})).unwrap()
    }

    fn running(init: Value) -> Value {
        json!({"startTime": at(101).to_string(), "initContainerStatuses": init, "containerStatuses": [{
            "name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": at(129).to_string()}}}]})
    }

    fn spec() -> Value {
        json!({"containers": [{"name": "c"}], "volumes": [{"name": "v", "emptyDir": {}}]})
    }

    #[test]
    fn pulls_and_init_containers_are_taken_off() {
        let mut start = PodStart::of(&pod(json!({}), spec())).unwrap();
        // Two pulls that overlap for two seconds, and one inside of them.
        start.pull_began(at(102));
        start.pull_began(at(104));
        start.pull_began(at(105));
        start.pull_ended(at(106));
        start.pull_ended(at(109));
        start.pull_ended(at(109));
        let ran = |from, to| {
            json!({"terminated": {"exitCode": 0, "startedAt": at(from).to_string(),
            "finishedAt": at(to).to_string()}})
        };
        let init = json!([{"name": "i", "image": "i", "imageID": "", "ready": true, "restartCount": 1,
            "state": ran(115, 120), "lastState": ran(110, 113)}]);
        let started = pod(running(init), spec());
        assert_eq!(start.observe(&pod(json!({"startTime": at(101).to_string()}), spec()), at(110)), None);
        let durations = start.observe(&started, at(130)).unwrap();
        assert_eq!(durations.total, SignedDuration::from_secs(30));
        assert_eq!(durations.sli, Some(SignedDuration::from_secs(30 - 7 - 8)));
        assert!(durations.has_network);
        assert_eq!(start.observe(&started, at(140)), None, "once");
    }

    #[test]
    fn stateful_pods_have_no_sli_and_others_are_not_followed_at_all() {
        let claim = json!({"containers": [], "hostNetwork": true,
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]});
        let mut start = PodStart::of(&pod(json!({}), claim.clone())).unwrap();
        let durations = start.observe(&pod(running(json!([])), claim), at(130)).unwrap();
        assert_eq!((durations.sli, durations.has_network), (None, false));
        assert_eq!(PodStart::of(&pod(running(json!([])), spec())), None, "it ran before this kubelet did");
        assert_eq!(PodStart::of(&pod(json!({"phase": "Failed"}), spec())), None);
        let waits = json!({"conditions": [{"type": "PodScheduled", "status": "False"}]});
        assert_eq!(PodStart::of(&pod(waits, spec())), None);
    }
}
