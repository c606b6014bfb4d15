//! Tables of statuses.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning, ContainerStatus};
use serde_json::json;

use super::*;
use crate::core::model::{
    ContainerProbes, Observed, ObservedContainer, ObservedSandbox, ProbeResult, ProbeResults, RunState,
};
use crate::core::plan::resize::Pending;
use crate::core::plan::{Ledger, Stage};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn pod(containers: serde_json::Value) -> Pod {
    let meta = json!({"name": "p", "namespace": "n", "uid": "u"});
    serde_json::from_value(json!({"metadata": meta, "spec": {"containers": containers}})).unwrap()
}

/// A pod whose one container `c` has this state, created a second after `at(0)`.
fn observed(state: RunState, exit_code: i32) -> Observed {
    let sandbox = ObservedSandbox {
        id: "s0".into(),
        attempt: 0,
        ready: true,
        created_at: at(0),
        host_network: false,
        ips: vec!["10.0.0.2".into()],
    };
    let record = ObservedContainer {
        state,
        started_at: Some(at(2)),
        finished_at: (state == RunState::Exited).then(|| at(10)),
        exit_code,
        ..ObservedContainer::made("c-0".into(), "s0".into(), "c", at(1))
    };
    Observed { sandboxes: vec![sandbox], containers: vec![record] }
}

struct Case {
    pod: Pod,
    observed: Observed,
    probes: ProbeResults,
    previous: PodStatus,
    ledger: Ledger,
    stage: Stage,
    kubelet_started: Timestamp,
}

impl Case {
    fn new(pod: Pod, observed: Observed) -> Self {
        let (probes, previous, ledger) = (ProbeResults::default(), PodStatus::default(), Ledger::default());
        Self { pod, observed, probes, previous, ledger, stage: Stage::Running, kubelet_started: at(0) }
    }

    fn status(&self) -> PodStatus {
        let inputs = Inputs {
            pod: &self.pod,
            is_static: false,
            observed: &self.observed,
            ledger: &self.ledger,
            probes: &self.probes,
            previous: &self.previous,
            stage: self.stage,
            rejection: None,
            host_ips: &[],
            recursive_read_only: false,
            kubelet_started: self.kubelet_started,
            now: at(20),
        };
        derive(&inputs).status
    }
}

fn ready(status: &PodStatus) -> (bool, String) {
    let condition = status.conditions.iter().flatten().find(|c| c.type_ == "Ready").expect("a condition Ready");
    (status.container_statuses.as_ref().unwrap()[0].ready, condition.status.clone())
}

#[test]
fn a_running_container_without_probes_is_ready() {
    let status = Case::new(pod(json!([{"name": "c", "image": "i"}])), observed(RunState::Running, 0)).status();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(ready(&status), (true, "True".into()));
}

#[test]
fn a_restarted_kubelet_keeps_what_was_said_of_a_probed_container_until_its_probe_answers() {
    let probed = json!([{"name": "c", "image": "i", "readinessProbe": {"tcpSocket": {"port": 1}}}]);
    let mut case = Case::new(pod(probed), observed(RunState::Running, 0));
    case.kubelet_started = at(15);
    assert_eq!(ready(&case.status()), (false, "False".into()), "nothing was said of it");
    case.probes.insert("c-0".into(), ContainerProbes { readiness: Some(ProbeResult::Success), ..Default::default() });
    case.previous = case.status();
    assert_eq!(ready(&case.previous), (true, "True".into()));
    case.probes.clear();
    assert_eq!(ready(&case.status()), (true, "True".into()), "what was said of it holds");
    case.kubelet_started = at(0);
    assert_eq!(ready(&case.status()), (false, "False".into()), "a new container has to prove itself");
    case.kubelet_started = at(15);
    case.probes.insert("c-0".into(), ContainerProbes { readiness: Some(ProbeResult::Failure), ..Default::default() });
    assert_eq!(ready(&case.status()), (false, "False".into()));
}

#[test]
fn restart_count_and_last_end_outlive_their_records() {
    let mut case = Case::new(pod(json!([{"name": "c", "image": "i"}])), observed(RunState::Exited, 3));
    case.previous = case.status();
    let ended = case.previous.container_statuses.as_ref().unwrap()[0].clone();
    assert_eq!(ended.state.unwrap().terminated.unwrap().exit_code, 3);
    // The old record was removed; a new one with a smaller number is running.
    case.previous.container_statuses.as_mut().unwrap()[0].restart_count = 4;
    case.observed = observed(RunState::Running, 0);
    case.observed.containers[0].id = "c-1".into();
    let status = case.status().container_statuses.unwrap().remove(0);
    assert_eq!(status.restart_count, 4);
    assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 3);
}

#[test]
fn resources_of_the_pod_as_a_whole_follow_its_cgroup() {
    let mut pod = pod(json!([{"name": "c", "image": "i"}]));
    let resources = |cpu: &str| json!({"requests": {"cpu": cpu}, "limits": {"cpu": "2"}});
    let set = |pod: &mut Pod, cpu: &str| {
        pod.spec.as_mut().unwrap().resources = serde_json::from_value(resources(cpu)).unwrap();
    };
    set(&mut pod, "1");
    let mut case = Case::new(pod, observed(RunState::Running, 0));
    case.previous = case.status();
    assert_eq!(json!(case.previous.resources), resources("1"));
    set(&mut case.pod, "1500m");
    case.ledger.resize.in_progress = true;
    let status = case.status();
    assert_eq!((json!(status.allocated_resources), json!(status.resources)), (json!({"cpu": "1500m"}), resources("1")));
    case.ledger.resize.in_progress = false;
    assert_eq!(json!(case.status().resources), resources("1500m"));
    let own = json!({"requests": {"cpu": "2m", "memory": "1Mi"}, "limits": {"cpu": "10m"}});
    let sum = json!([{"name": "c", "image": "i", "resources": own}, {"name": "d", "image": "i", "resources": own}]);
    case.pod.spec.as_mut().unwrap().containers = serde_json::from_value(sum).unwrap();
    case.pod.spec.as_mut().unwrap().resources = None;
    let status = case.status();
    let requests = json!({"cpu": "4m", "memory": "2097152"});
    assert_eq!(json!(status.allocated_resources), requests);
    assert_eq!(json!(status.resources), json!({"requests": requests, "limits": {"cpu": "20m"}}));
}

#[test]
fn a_resize_that_waits_says_whether_it_can_ever_be() {
    let mut case = Case::new(pod(json!([{"name": "c", "image": "i"}])), observed(RunState::Running, 0));
    let condition = |case: &Case| {
        let conditions = case.status().conditions.unwrap();
        conditions.into_iter().find(|c| c.type_ == "PodResizePending").map(|c| (c.status, c.reason, c.message))
    };
    assert_eq!(condition(&case), None);
    for (pending, reason) in
        [(Pending::Deferred("no room".into()), "Deferred"), (Pending::Infeasible("no room".into()), "Infeasible")]
    {
        case.ledger.resize.pending = Some(pending);
        assert_eq!(condition(&case), Some(("True".into(), Some(reason.into()), Some("no room".into()))));
    }
}

#[test]
fn a_terminal_phase_is_never_left() {
    let mut case = Case::new(pod(json!([{"name": "c", "image": "i"}])), observed(RunState::Running, 0));
    case.previous.phase = Some("Failed".into());
    case.previous.reason = Some("Evicted".into());
    let status = case.status();
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("Evicted")));
}

#[test]
fn a_container_that_ran_and_left_no_trace_is_shown_as_ended() {
    let mut case = Case::new(pod(json!([{"name": "c", "image": "i"}])), Observed::default());
    let running = ContainerState { running: Some(ContainerStateRunning::default()), ..ContainerState::default() };
    let said = ContainerStatus { name: "c".into(), state: Some(running), restart_count: 1, ..Default::default() };
    case.previous.container_statuses = Some(vec![said]);
    let status = case.status().container_statuses.unwrap().remove(0);
    assert_eq!(status.restart_count, 2);
    let ended = status.last_state.unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (137, Some("ContainerStatusUnknown")));
}

#[test]
fn a_pod_that_the_node_ended_is_judged_by_its_exit_codes() {
    let kill = |reason: &str| crate::core::model::PodKill {
        reason: reason.into(),
        message: "make room".into(),
        grace_seconds: None,
        disruption: Some("Pod was preempted".into()),
    };
    for reason in ["Preempting", "Evicted", "Terminated"] {
        for (code, phase, said) in [(0, "Succeeded", None), (143, "Failed", Some(reason))] {
            let mut case = Case::new(pod(json!([{"name": "c", "image": "i"}])), observed(RunState::Running, 0));
            case.previous = case.status();
            case.ledger.end = Some(crate::core::plan::end_pod(None, EndCause::Killed(kill(reason)), &case.pod, at(5)));
            case.stage = Stage::Terminating;
            case.previous = case.status();
            assert_eq!(case.previous.phase.as_deref(), Some("Running"), "it still runs");
            case.observed = observed(RunState::Exited, code);
            case.stage = Stage::Terminated { cleaned: false };
            for _ in 0..2 {
                let status = case.status();
                assert_eq!(status.phase.as_deref(), Some(phase), "{reason} {code}");
                assert_eq!(status.reason.as_deref(), said, "{reason} {code}");
                let disrupted = status.conditions.iter().flatten().any(|c| c.type_ == "DisruptionTarget");
                assert!(disrupted, "{reason} {code}");
                case.previous = status;
                case.stage = Stage::Finished { told: true, records_removed: false };
            }
        }
    }
}

#[test]
fn a_restarted_kubelet_says_that_it_lost_a_finished_init_container_of_a_static_pod() {
    let mut manifest = pod(json!([{"name": "c", "image": "i"}]));
    let inits = json!([{"name": "init", "image": "i"}, {"name": "side", "image": "i", "restartPolicy": "Always"}]);
    manifest.spec.as_mut().unwrap().init_containers = serde_json::from_value(inits).unwrap();
    let mut case = Case::new(manifest, observed(RunState::Running, 0));
    let ended = |name: &str| ObservedContainer {
        state: RunState::Exited,
        started_at: Some(at(2)),
        finished_at: Some(at(3)),
        ..ObservedContainer::made(format!("{name}-0").as_str().into(), "s0".into(), name, at(1))
    };
    case.observed.containers.extend([ended("init"), ended("side")]);
    let end_of = |status: &PodStatus, name: &str| {
        let all = status.init_container_statuses.iter().flatten();
        all.clone().find(|c| c.name == name).and_then(|c| c.state.clone()?.terminated)
    };
    let kept = case.status();
    assert_eq!(end_of(&kept, "init").unwrap().finished_at, Some(Time(at(3))));

    case.previous = without_ended_init(&case.pod, &kept);
    let there = end_of(&case.status(), "init").unwrap();
    assert_eq!((there.exit_code, there.finished_at, there.message), (0, Some(Time(at(3))), None), "the runtime has it");
    assert_eq!(end_of(&case.previous, "side"), end_of(&kept, "side"), "a sidecar is started again");

    case.observed.containers.retain(|c| c.name == "c");
    let lost = end_of(&case.status(), "init").unwrap();
    assert_eq!((lost.exit_code, lost.reason.as_deref()), (0, Some("Completed")));
    assert!(lost.message.unwrap().starts_with("Unable to get init container status"));
}
