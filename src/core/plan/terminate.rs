//! Termination of a pod: kills what runs, stops its sandboxes, within the remaining grace period.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::action::Action;
use super::kill::{kill_all, pod_grace};
use super::ledger::{End, EndCause};
use crate::core::model::time::Moment;
use crate::core::model::{Observed, is_terminal};

/// Input of the decision to terminate a pod.
#[derive(Clone, Copy, Debug)]
pub struct EndInputs<'a> {
    /// Definition of the pod.
    pub pod: &'a Pod,
    /// True if it is a static pod.
    pub is_static: bool,
    /// The status that was last published.
    pub status: &'a PodStatus,
    /// No source lists the pod any more.
    pub removed: bool,
    /// Admission rejected the pod.
    pub rejected: bool,
    /// The pod terminates already.
    pub ends: bool,
    /// Time of the decision.
    pub now: Timestamp,
}

/// Reasons to terminate a pod, most important first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndReasons {
    /// The causes; empty if the pod continues.
    pub causes: Vec<EndCause>,
    /// When `activeDeadlineSeconds` will have passed; `None` if it is not set or has passed.
    pub deadline: Option<Timestamp>,
}

/// Finds reasons to terminate a pod. A terminating pod may get another one that shortens its grace period.
pub fn decide_end(inputs: &EndInputs<'_>) -> EndReasons {
    let EndInputs { pod, status, now, .. } = *inputs;
    let mut reasons = EndReasons::default();
    if pod.metadata.deletion_timestamp.is_some() {
        reasons.causes.push(EndCause::Deleted);
    }
    if inputs.removed {
        reasons.causes.push(EndCause::Removed);
    }
    if inputs.ends || !reasons.causes.is_empty() {
        return reasons;
    }
    let api_phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    if inputs.rejected || is_terminal(status.phase.as_deref()) || (is_terminal(api_phase) && !inputs.is_static) {
        reasons.causes.push(EndCause::Completed);
        return reasons;
    }
    let limit = pod.spec.as_ref().and_then(|s| s.active_deadline_seconds);
    if let (Some(limit), Some(start)) = (limit, &status.start_time) {
        let deadline = start.0.later(SignedDuration::from_secs(limit));
        if now >= deadline {
            reasons.causes.push(EndCause::DeadlineExceeded);
        } else {
            reasons.deadline = Some(deadline);
        }
    }
    reasons
}

/// Begins the termination of a pod, or shortens the grace period of a terminating one; the first cause is kept.
///
/// The grace period is the minimum of the pod's (of its deletion, else of the spec) and the cause's, and at least one
/// second.
pub fn end_pod(current: Option<&End>, cause: EndCause, pod: &Pod, now: Timestamp) -> End {
    let order = match &cause {
        EndCause::Killed(kill) => kill.grace_seconds,
        EndCause::Deleted | EndCause::Removed | EndCause::Completed | EndCause::DeadlineExceeded => None,
    };
    let wanted = pod_grace(pod).min(order.unwrap_or(i64::MAX)).max(1);
    match current {
        Some(end) => End { grace_seconds: end.grace_seconds.min(wanted), ..end.clone() },
        None => End { cause, since: now, grace_seconds: wanted },
    }
}

/// The actions until nothing of the pod runs; empty if that is reached.
pub fn plan_end(pod: &Pod, observed: &Observed, end: &End, now: Timestamp) -> Vec<Action> {
    // After a kubelet restart the grace period starts over; without one, a retry gets what remains of it.
    let used = now.duration_since(end.since).as_secs().max(0);
    let grace = end.grace_seconds.saturating_sub(used).max(1);
    kill_everything(pod, observed, grace)
}

/// Kills what runs, within `grace` seconds, and stops the sandboxes.
pub(super) fn kill_everything(pod: &Pod, observed: &Observed, grace: i64) -> Vec<Action> {
    let mut actions = Vec::new();
    let kills = kill_all(pod, observed, grace);
    if !kills.is_empty() {
        actions.push(Action::Kill(kills));
    }
    let ready: Vec<_> = observed.sandboxes.iter().filter(|s| s.ready).map(|s| s.id.clone()).collect();
    if !ready.is_empty() {
        actions.push(Action::StopSandboxes(ready));
    }
    actions
}

/// Removes every record of a pod that its source no longer lists.
pub fn plan_removal(observed: &Observed) -> Vec<Action> {
    let ids: Vec<_> = observed.sandboxes.iter().map(|s| s.id.clone()).collect();
    let orphans: Vec<_> =
        observed.containers.iter().filter(|c| !ids.contains(&c.sandbox)).map(|c| c.id.clone()).collect();
    let mut actions = Vec::new();
    if !orphans.is_empty() {
        actions.push(Action::Remove(orphans));
    }
    if !ids.is_empty() {
        actions.push(Action::RemoveSandboxes(ids));
    }
    actions
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_reason_ends_a_pod_and_the_deadline_is_told_before() {
        let mut pod = Pod::default();
        pod.spec.get_or_insert_default().active_deadline_seconds = Some(10);
        let status = PodStatus { start_time: Some(Time(at(100))), ..PodStatus::default() };
        let runs = EndInputs {
            pod: &pod,
            is_static: false,
            status: &status,
            removed: false,
            rejected: false,
            ends: false,
            now: at(109),
        };
        let causes = |inputs: EndInputs<'_>| decide_end(&inputs).causes;
        assert_eq!(decide_end(&runs), EndReasons { causes: Vec::new(), deadline: Some(at(110)) });
        assert_eq!(causes(EndInputs { now: at(110), ..runs }), [EndCause::DeadlineExceeded]);
        assert_eq!(causes(EndInputs { rejected: true, ..runs }), [EndCause::Completed]);
        let over = PodStatus { phase: Some("Succeeded".into()), ..PodStatus::default() };
        assert_eq!(causes(EndInputs { status: &over, ..runs }), [EndCause::Completed]);
        let ended = Pod { status: Some(over), ..pod.clone() };
        assert_eq!(causes(EndInputs { pod: &ended, ..runs }), [EndCause::Completed]);
        let of_static = causes(EndInputs { pod: &ended, is_static: true, ..runs });
        assert!(of_static.is_empty(), "what its mirror says does not count");
        let mut deleted = pod.clone();
        deleted.metadata.deletion_timestamp = Some(Time(at(1)));
        let both = EndInputs { pod: &deleted, removed: true, rejected: true, ..runs };
        assert_eq!(causes(both), [EndCause::Deleted, EndCause::Removed]);
        let again = causes(EndInputs { ends: true, ..both });
        assert_eq!(again, [EndCause::Deleted, EndCause::Removed], "they may shorten the grace");
        assert!(causes(EndInputs { ends: true, now: at(200), ..runs }).is_empty());
    }
}
