//! Tables of plans.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;
use crate::core::model::{ContainerProbes, ObservedContainer, ObservedSandbox, ProbeResult, ProbeResults};
use crate::core::render::NodeContext;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn pod(spec: serde_json::Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec
    }))
    .unwrap()
}

fn sandbox() -> ObservedSandbox {
    ObservedSandbox {
        id: "s0".into(),
        attempt: 0,
        ready: true,
        created_at: at(0),
        host_network: false,
        ips: vec!["10.0.0.2".into()],
    }
}

fn record(name: &str, state: RunState, exit_code: i32) -> ObservedContainer {
    let ended = state == RunState::Exited;
    ObservedContainer {
        state,
        started_at: Some(at(2)),
        finished_at: ended.then(|| at(10)),
        exit_code,
        ..ObservedContainer::made(format!("{name}-0").into(), "s0".into(), name, at(1))
    }
}

fn with(records: Vec<ObservedContainer>) -> Observed {
    Observed { sandboxes: vec![sandbox()], containers: records }
}

fn lines(pod: &Pod, observed: &Observed, probes: &ProbeResults) -> Vec<String> {
    let ledger = Ledger::default();
    let plan = plan(&Inputs { pod, observed, ledger: &ledger, probes, now: at(20) });
    plan.actions.iter().map(ToString::to_string).collect()
}

fn check(spec: serde_json::Value, observed: &Observed, expected: &[&str]) {
    assert_eq!(lines(&pod(spec), observed, &ProbeResults::new()), expected);
}

fn plain(policy: &str) -> serde_json::Value {
    json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "i"}]})
}

fn staged() -> serde_json::Value {
    json!({
        "initContainers": [
            {"name": "i1", "image": "i"},
            {"name": "side", "image": "i", "restartPolicy": "Always"},
            {"name": "i2", "image": "i"}
        ],
        "containers": [{"name": "a", "image": "i"}]
    })
}

#[test]
fn a_new_pod_gets_a_sandbox_and_its_containers() {
    check(plain("Always"), &Observed::default(), &["create sandbox #0", "start a"]);
}

#[test]
fn a_new_pod_with_init_containers_begins_with_the_first() {
    check(staged(), &Observed::default(), &["create sandbox #0", "start i1"]);
}

#[test]
fn a_running_pod_needs_nothing() {
    check(plain("Always"), &with(vec![record("a", RunState::Running, 0)]), &[]);
}

#[test]
fn an_ended_container_is_started_again_by_policy() {
    check(plain("Always"), &with(vec![record("a", RunState::Exited, 0)]), &["start a #1"]);
    check(plain("OnFailure"), &with(vec![record("a", RunState::Exited, 1)]), &["start a #1"]);
}

#[test]
fn a_pod_whose_containers_are_done_loses_its_sandbox() {
    check(plain("OnFailure"), &with(vec![record("a", RunState::Exited, 0)]), &["stop sandboxes [s0]"]);
    check(plain("Never"), &with(vec![record("a", RunState::Exited, 1)]), &["stop sandboxes [s0]"]);
}

#[test]
fn a_dead_sandbox_of_a_pod_that_never_restarts_is_not_made_again() {
    let mut observed = with(vec![record("a", RunState::Exited, 0)]);
    observed.sandboxes[0].ready = false;
    check(plain("Never"), &observed, &[]);
    check(plain("Always"), &observed, &["create sandbox #1", "start a #1"]);
}

#[test]
fn init_containers_of_an_older_sandbox_run_again_in_the_new_one() {
    let mut observed = with(vec![record("i1", RunState::Exited, 0)]);
    observed.sandboxes[0].ready = false;
    observed.sandboxes.insert(0, ObservedSandbox { id: "s1".into(), attempt: 1, created_at: at(12), ..sandbox() });
    check(staged(), &observed, &["start i1 #1"]);
}

#[test]
fn init_containers_and_sidecars_go_one_by_one() {
    let i1 = record("i1", RunState::Exited, 0);
    check(staged(), &with(vec![i1.clone()]), &["start side"]);
    let side = record("side", RunState::Running, 0);
    check(staged(), &with(vec![i1.clone(), side.clone()]), &["start i2"]);
    let i2 = record("i2", RunState::Running, 0);
    check(staged(), &with(vec![i1.clone(), side.clone(), i2]), &[]);
    let i2 = record("i2", RunState::Exited, 0);
    check(staged(), &with(vec![i1, side, i2]), &["start a"]);
}

#[test]
fn a_sidecar_that_ended_is_started_again_beside_a_running_pod() {
    let side = record("side", RunState::Exited, 0);
    check(staged(), &with(vec![side, record("a", RunState::Running, 0)]), &["start side #1"]);
}

#[test]
fn lost_init_records_of_a_running_pod_are_not_run_again() {
    let side = record("side", RunState::Running, 0);
    check(staged(), &with(vec![side, record("a", RunState::Running, 0)]), &[]);
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let mut spec = staged();
    spec["restartPolicy"] = json!("Never");
    check(spec, &with(vec![record("i1", RunState::Exited, 1)]), &["stop sandboxes [s0]"]);
    check(staged(), &with(vec![record("i1", RunState::Exited, 1)]), &["start i1 #1"]);
}

#[test]
fn a_failed_liveness_probe_kills_and_restarts_unless_the_policy_is_never() {
    let observed = with(vec![record("a", RunState::Running, 0)]);
    let failed = ContainerProbes { liveness: Some(ProbeResult::Failure), ..ContainerProbes::default() };
    let probes = ProbeResults::from([("a-0".into(), failed)]);
    assert_eq!(lines(&pod(plain("Always")), &observed, &probes), ["kill a(30s)", "start a #1"]);
    assert_eq!(lines(&pod(plain("Never")), &observed, &probes), ["kill a(30s)", "stop sandboxes [s0]"]);
}

#[test]
fn back_off_holds_a_crashing_container_back() {
    let pod = pod(plain("Always"));
    let observed = with(vec![record("a", RunState::Exited, 1)]);
    let mut ledger = Ledger::default();
    ledger.raise(&backoff_key(&pod.spec.as_ref().unwrap().containers[0]), at(9), at(9));
    let probes = ProbeResults::new();
    let plan = plan(&Inputs { pod: &pod, observed: &observed, ledger: &ledger, probes: &probes, now: at(15) });
    assert_eq!(plan.actions, []);
    assert_eq!(plan.wake_at, Some(at(20)));
    assert_eq!(plan.waiting["a"].message, "back-off 10s restarting failed container=a pod=p_n(u)");
}

#[test]
fn sidecars_end_after_regular_containers_and_in_reverse_order() {
    let spec = json!({
        "initContainers": [
            {"name": "s1", "image": "i", "restartPolicy": "Always"},
            {"name": "s2", "image": "i", "restartPolicy": "Always"}
        ],
        "containers": [{"name": "a", "image": "i"}]
    });
    let records = ["s1", "s2", "a"].map(|n| record(n, RunState::Running, 0)).to_vec();
    let pod = pod(spec);
    let end = end_pod(None, EndCause::Removed, &pod, at(20));
    let lines: Vec<_> = plan_end(&pod, &with(records), &end, at(20)).iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["kill a(30s) s2(30s after [a-0]) s1(30s after [a-0, s2-0])", "stop sandboxes [s0]"]);
}

#[test]
fn grace_is_only_ever_shortened_and_never_below_a_second() {
    let mut pod = pod(plain("Always"));
    let first = end_pod(None, EndCause::Removed, &pod, at(0));
    assert_eq!(first.grace_seconds, 30);
    pod.metadata.deletion_grace_period_seconds = Some(0);
    let second = end_pod(Some(&first), EndCause::Deleted, &pod, at(3));
    assert_eq!((second.grace_seconds, second.since, second.cause), (1, at(0), EndCause::Removed));
}

#[test]
fn an_exit_that_restarts_all_ends_everything_and_removes_its_own_record_last() {
    let rule = json!([{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}]);
    let spec = json!({
        "initContainers": [{"name": "i1", "image": "i"}],
        "containers": [
            {"name": "a", "image": "i", "restartPolicy": "Never", "restartPolicyRules": rule},
            {"name": "b", "image": "i"}
        ]
    });
    let mut records =
        vec![record("i1", RunState::Exited, 0), record("a", RunState::Exited, 88), record("b", RunState::Running, 0)];
    check(spec.clone(), &with(records.clone()), &["kill b(0s)", "remove [b-0, i1-0]", "remove [a-0]"]);
    records.clear();
    check(spec, &with(records), &["start i1"]);
}

#[test]
fn what_swaps_is_not_resized_in_place_unless_it_restarts() {
    let known = NodeContext::defaults(std::path::Path::new("/k"));
    let node = NodeContext { limited_swap: true, swap_controller: true, ..known };
    let sized = |request: &str, policy: &str| {
        pod(json!({"containers": [{
            "name": "a", "image": "i", "resizePolicy": [{"resourceName": "memory", "restartPolicy": policy}],
            "resources": {"requests": {"memory": request, "cpu": "1m"}, "limits": {"memory": "1Gi"}}
        }]}))
    };
    let reason = |node: &NodeContext, from: &str, to: &str, policy: &str| {
        resize::infeasible(node, &sized(to, policy), &sized(from, policy)).map(|p| (p.reason(), p.event()))
    };
    let never = Some(("Infeasible", "ResizeInfeasible"));
    assert_eq!(reason(&node, "64Mi", "128Mi", "NotRequired"), never);
    assert_eq!(reason(&node, "64Mi", "128Mi", "RestartContainer"), None);
    assert_eq!(reason(&node, "64Mi", "65536Ki", "NotRequired"), None);
    let no_swap = NodeContext { limited_swap: false, ..node };
    assert_eq!(reason(&no_swap, "64Mi", "128Mi", "NotRequired"), None);
}
