//! Dependencies between the probes of one pod.

use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::core::model::ContainerKind;
use ProbeResult::{Failure, Success};

const S: Duration = Duration::from_secs(1);

fn subject(id: &str, known_started: bool, terminating: bool) -> ProbeSubject {
    let probe = serde_json::json!({"exec": {"command": ["true"]}, "periodSeconds": 10, "failureThreshold": 1});
    let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {"containers": [{
        "name": "web", "startupProbe": probe, "livenessProbe": probe, "readinessProbe": probe}]}}))
    .expect("a pod");
    ProbeSubject {
        pod: Arc::new(pod),
        pod_ips: vec![],
        containers: vec![ProbedContainer {
            name: "web".into(),
            kind: ContainerKind::Regular,
            id: id.into(),
            started_at: Timestamp::UNIX_EPOCH,
            known_started,
        }],
        terminating,
    }
}

fn kinds(due: &[DueProbe]) -> Vec<ProbeKind> {
    due.iter().map(|d| d.kind).collect()
}

fn run_next(probes: &mut PodProbes, result: ProbeResult) -> (Duration, Vec<ProbeKind>) {
    let at = probes.next_due().expect("a run is due");
    let due = probes.take_due(at);
    for run in &due {
        probes.answer(run, Some(result), at, at);
    }
    (at, kinds(&due))
}

#[test]
fn the_others_wait_for_startup_and_readiness_follows_at_once() {
    let mut probes = PodProbes::new(0 * S, 0.0);
    probes.observe(&subject("a", false, false), S, |_| 0 * S);
    assert_eq!(run_next(&mut probes, Success), (10 * S, vec![ProbeKind::Startup]));
    assert_eq!(run_next(&mut probes, Success), (10 * S, vec![ProbeKind::Liveness, ProbeKind::Readiness]));
    assert_eq!(
        probes.results()[&"a".into()],
        ContainerProbes { liveness: Some(Success), readiness: Some(Success), startup: Some(Success) }
    );
}

#[test]
fn a_new_container_id_begins_anew() {
    let mut probes = PodProbes::new(0 * S, 0.0);
    probes.observe(&subject("a", false, false), S, |_| 0 * S);
    assert_eq!(run_next(&mut probes, Failure), (10 * S, vec![ProbeKind::Startup]));
    assert_eq!(probes.results()[&"a".into()].startup, Some(Failure));
    assert_eq!(probes.next_due(), None);
    probes.observe(&subject("b", false, false), 12 * S, |_| 0 * S);
    assert_eq!(probes.results().keys().map(ContainerId::as_str).collect::<Vec<_>>(), ["b"]);
    assert_eq!(probes.results()[&"b".into()], ContainerProbes::default());
    assert_eq!(probes.next_due(), Some(20 * S));
}

#[test]
fn an_answer_for_an_earlier_container_is_dropped() {
    let mut probes = PodProbes::new(0 * S, 0.0);
    probes.observe(&subject("a", true, false), S, |_| 0 * S);
    let late = probes.take_due(S);
    probes.observe(&subject("b", true, false), 2 * S, |_| 0 * S);
    assert!(!probes.answer(&late[0], Some(Success), S, 3 * S));
    assert_eq!(probes.results()[&"b".into()].readiness, None);
}

#[test]
fn a_container_that_had_started_before_needs_no_startup_probe() {
    let mut probes = PodProbes::new(S, 0.5);
    probes.observe(&subject("a", true, false), S, |_| 100 * S);
    assert_eq!(probes.results()[&"a".into()].startup, Some(Success));
    assert_eq!(run_next(&mut probes, Success), (6 * S, vec![ProbeKind::Liveness, ProbeKind::Readiness]));
}

#[test]
fn a_container_of_which_nothing_is_remembered_is_probed_at_once() {
    let mut probes = PodProbes::new(S, 0.5);
    probes.observe(&subject("a", false, false), S, |_| 100 * S);
    assert_eq!(run_next(&mut probes, Success), (S, vec![ProbeKind::Startup]));
    assert_eq!(
        run_next(&mut probes, Success),
        (S, vec![ProbeKind::Liveness, ProbeKind::Readiness]),
        "not only at the next tick"
    );
}

#[test]
fn termination_ends_all_but_readiness() {
    let mut probes = PodProbes::new(0 * S, 0.0);
    probes.observe(&subject("a", true, false), S, |_| 0 * S);
    probes.observe(&subject("a", true, true), S, |_| 0 * S);
    assert_eq!(probes.results()[&"a".into()].liveness, Some(Success));
    for _ in 0..9 {
        assert_eq!(run_next(&mut probes, Failure).1, [ProbeKind::Readiness]);
    }
}

#[test]
fn a_vanished_container_is_forgotten() {
    let mut probes = PodProbes::new(0 * S, 0.0);
    probes.observe(&subject("a", true, false), S, |_| 0 * S);
    probes.observe(&ProbeSubject { containers: vec![], ..subject("a", true, false) }, 2 * S, |_| 0 * S);
    assert_eq!(probes.next_due(), None);
    assert!(probes.results().is_empty());
}
