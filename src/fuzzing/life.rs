//! A pod's whole life in the core: admission, plans, statuses, runtime configurations, probes, eviction, termination.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use prost::Message;

use super::edits::pod_of;
use crate::core::admission::{self, NodeFacts};
use crate::core::evict::has_local_limit;
use crate::core::images::parse_name;
use crate::core::manifest::mirror::derive_mirror;
use crate::core::manifest::static_pod::{Origin, make_static};
use crate::core::model::cgroup::{CgroupSettings, pod_cgroup_limits};
use crate::core::model::{
    ContainerKind, MountedVolume, Observed, ObservedContainer, ObservedSandbox, ProbeResult, ProbeResults,
    ProbeSubject, ProbedContainer, RunState, SandboxId, Verdict, containers_of, qos_class, references_of,
};
use crate::core::plan::resize::{infeasible, larger_of, plan_resize, with_resources_of_status};
use crate::core::plan::{Action, EndCause, Inputs, Ledger, Stage, end_pod, plan, plan_end, plan_removal};
use crate::core::probes::{PodProbes, derive_check};
use crate::core::render::resources::container_resources;
use crate::core::render::{self, ContainerInputs, DeviceGrant, ImageUser, NodeContext, PodContext, env};
use crate::core::shutdown::{Turn, plan_groups, plan_stages};
use crate::core::static_units::derive_state;
use crate::core::status::{self, render_status_patch};

/// Largest message that a runtime accepts (upstream `cri-client`, `maxMsgSize`).
const MESSAGE_MAX: usize = 16 << 20;

/// JSON, or edits of a plain pod, whose bytes are also the events: nothing panics, decisions are deterministic, no
/// container runs twice, and no message exceeds the runtime's limit.
pub(super) fn pod(input: &[u8]) {
    let Some(pod) = pod_of(input) else { return };
    for pod in [Some(pod.clone()), static_of(&pod)].into_iter().flatten() {
        admit(&pod);
        live(&pod, input);
        render(&pod);
        probe(&pod);
    }
}

fn static_of(pod: &Pod) -> Option<Pod> {
    let made = || make_static(pod.clone(), &Origin::File(PathBuf::from("/m/a.yaml")), "n1");
    let first = made();
    assert_eq!(first, made());
    let made = first.ok()?;
    let mirror = derive_mirror(&made, "n1", "node-uid");
    assert_eq!(mirror.metadata.name, made.metadata.name);
    Some(made)
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a time")
}

fn admit(pod: &Pod) {
    let node = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "n1", "labels": {"zone": "5"}},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "3", "x.io/gpu": "1"}}}));
    let node = NodeFacts::of(&node.expect("a node"));
    let active = [Arc::new(pod.clone()), Arc::new(pod.clone())];
    let verdict = admission::decide(pod, false, &active, &node);
    assert_eq!(verdict, admission::decide(pod, false, &active, &node));
    if let Verdict::Reject(rejection) = &verdict {
        let (length, bound) = (rejection.message.len(), 4096 + 4 * serde_json::to_vec(pod).expect("JSON").len());
        let start: String = rejection.message.chars().take(200).collect();
        assert!(length <= bound, "{length} bytes of {bound}: {start}");
    }
    let _ = (references_of(pod), qos_class(pod), has_local_limit(pod));
    let _ = pod_cgroup_limits(pod, CgroupSettings::default()).in_whole_percents();
    for (_, container) in containers_of(pod) {
        let _ = parse_name(container.image.as_deref().unwrap_or_default());
    }
    let turns = [Turn { priority: 0, seconds: 1 }, Turn { priority: 2_000_000_000, seconds: 1 }];
    assert_eq!(plan_groups(&turns, &active).iter().map(|(_, pods)| pods.len()).sum::<usize>(), 2);
    assert_eq!(plan_stages(&active).iter().map(|(_, pods)| pods.len()).sum::<usize>(), 2);
}

/// All decisions about a pod in one state, made twice.
pub(super) fn decide(pod: &Pod, observed: &Observed, now: Timestamp) -> Vec<Action> {
    let (ledger, probes) = (Ledger::default(), ProbeResults::new());
    decide_with(pod, observed, &ledger, &probes, now, &PodStatus::default(), Stage::Running).0
}

fn decide_with(
    pod: &Pod,
    observed: &Observed,
    ledger: &Ledger,
    probes: &ProbeResults,
    now: Timestamp,
    previous: &PodStatus,
    stage: Stage,
) -> (Vec<Action>, PodStatus) {
    let inputs = Inputs { pod, observed, ledger, probes, now };
    let planned = plan(&inputs);
    assert_eq!(planned, plan(&inputs), "the same input gives the same plan");
    let names = containers_of(pod).len() + observed.containers.len() + 4;
    assert!(planned.actions.len() <= names, "{} actions for {names} containers", planned.actions.len());
    let host = [[10, 0, 0, 1].into()];
    let inputs = status::Inputs {
        pod,
        is_static: false,
        observed,
        ledger,
        probes,
        previous,
        stage,
        rejection: None,
        host_ips: &host,
        recursive_read_only: false,
        kubelet_started: now,
        now,
    };
    let derived = status::derive(&inputs);
    assert_eq!(derived, status::derive(&inputs), "the same input gives the same status");
    assert_eq!(render_status_patch("u", &derived.status, &derived.status), None);
    let _ = (render_status_patch("u", previous, &derived.status), derive_state(&derived.status, None));
    let current = with_resources_of_status(pod);
    let node = node();
    let _ = (infeasible(&node, pod, &current), larger_of(pod, &current));
    let wanted: BTreeMap<_, _> = containers_of(pod)
        .into_iter()
        .map(|(_, c)| (c.name.clone(), container_resources(&node, pod, &c, &DeviceGrant::default())))
        .collect();
    let _ = plan_resize(pod, Some(&current), observed, &wanted);
    (planned.actions, derived.status)
}

/// A small runtime: one action of each plan is executed, and the script decides what happens in between.
fn live(pod: &Pod, script: &[u8]) {
    let (mut observed, mut ledger, mut now) = (Observed::default(), Ledger::default(), now());
    let (mut status, probes) = (pod.status.clone().unwrap_or_default(), ProbeResults::new());
    let mut made = 0;
    for happening in script.iter().rev().take(8) {
        let stages = [Stage::Starting, Stage::Running, Stage::Running, Stage::Terminated { cleaned: false }];
        let stage = stages[usize::from(happening / 64)];
        let (actions, derived) = decide_with(pod, &observed, &ledger, &probes, now, &status, stage);
        status = derived;
        now += SignedDuration::from_secs(1 + i64::from(happening / 8));
        match happening % 8 {
            0 => ledger = Ledger::default(),
            1 => observed.sandboxes.iter_mut().for_each(|sandbox| sandbox.ready = false),
            2 | 3 => {
                let running = observed.containers.iter_mut().find(|record| record.state == RunState::Running);
                if let Some(record) = running {
                    end(record, i32::from(happening / 8), now);
                }
            }
            _ => {}
        }
        if let Some(action) = actions.first() {
            made += 1;
            apply(action, &mut observed, &mut ledger, now, made);
        }
    }
    let ending = end_pod(None, EndCause::Deleted, pod, now);
    assert!(ending.grace_seconds >= 1);
    for _ in 0..8 {
        let Some(action) = plan_end(pod, &observed, &ending, now).into_iter().next() else { break };
        assert!(!matches!(action, Action::Start(_) | Action::CreateSandbox { .. }), "an ending pod starts nothing");
        apply(&action, &mut observed, &mut ledger, now, 0);
    }
    assert_eq!(observed.alive().count(), 0);
    plan_removal(&observed).iter().for_each(|action| apply(action, &mut observed, &mut ledger, now, 0));
    assert!(observed.is_empty());
}

fn end(record: &mut ObservedContainer, exit_code: i32, now: Timestamp) {
    record.state = RunState::Exited;
    record.exit_code = exit_code;
    record.finished_at = Some(now);
}

fn apply(action: &Action, observed: &mut Observed, ledger: &mut Ledger, now: Timestamp, made: u32) {
    match action {
        Action::Kill(kills) => {
            let killed = |record: &ObservedContainer| kills.iter().any(|kill| kill.id == record.id);
            assert!(kills.iter().all(|kill| kill.grace_seconds > 0 || kill.pre_stop.is_none()), "no time for a hook");
            observed.containers.iter_mut().filter(|r| killed(r)).for_each(|record| end(record, 137, now));
        }
        Action::Remove(ids) => observed.containers.retain(|record| !ids.contains(&record.id)),
        Action::StopSandboxes(ids) => {
            observed.sandboxes.iter_mut().filter(|s| ids.contains(&s.id)).for_each(|sandbox| sandbox.ready = false);
        }
        Action::RemoveSandboxes(ids) => {
            observed.sandboxes.retain(|sandbox| !ids.contains(&sandbox.id));
            observed.containers.retain(|record| !ids.contains(&record.sandbox));
        }
        Action::CreateSandbox { attempt } => observed.sandboxes.push(ObservedSandbox {
            id: SandboxId::from(format!("s{made}")),
            attempt: *attempt,
            ready: true,
            created_at: now,
            host_network: false,
            ips: vec!["10.0.0.2".into()],
        }),
        Action::SizePod(_) | Action::Update { .. } => {}
        Action::Start(start) => {
            let alive = observed.alive().any(|record| record.name == start.name);
            assert!(!alive, "{} would run twice", start.name);
            let Some(sandbox) = observed.sandbox().map(|sandbox| sandbox.id.clone()) else { return };
            let mut record = ObservedContainer::made(format!("c{made}").into(), sandbox, &start.name, now);
            (record.state, record.started_at) = (RunState::Running, Some(now));
            record.attempt = start.attempt.unwrap_or_default();
            observed.containers.push(record);
            if let Some((key, finished)) = &start.raise {
                ledger.raise(key, *finished, now);
            }
        }
    }
    observed.sort();
}

fn node() -> NodeContext {
    NodeContext {
        cluster_dns: vec![[10, 96, 0, 10].into()],
        cluster_domain: "cluster.local".into(),
        memory_capacity: 8 << 30,
        swap_capacity: 1 << 30,
        swap_controller: true,
        limited_swap: true,
        huge_page_sizes: vec!["2MB".into()],
        ..NodeContext::defaults(Path::new("/var/lib/kubelet"))
    }
}

fn render(pod: &Pod) {
    let node = node();
    let ips = ["10.0.0.2".to_owned()];
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mounted = |name: &str| MountedVolume { path: Path::new("/v").join(name), ..MountedVolume::default() };
    let volumes = volumes.map(|volume| (volume.name.clone(), mounted(&volume.name))).collect();
    let ctx = PodContext {
        pod,
        cgroup_parent: "/kubepods",
        pod_ips: &ips,
        volumes: &volumes,
        user_namespace: None,
        recursive_read_only: false,
    };
    if let Ok(sandbox) = render::sandbox(&node, &ctx, 0) {
        assert!(sandbox.config.encoded_len() <= MESSAGE_MAX);
        let logs = Path::new(&sandbox.config.log_directory).to_owned();
        assert!(logs.starts_with(&node.pod_logs_dir));
    }
    let hosts = render::etc_hosts(&node, pod, &ips);
    assert!(hosts.is_err() || hosts.is_ok_and(|text| text.is_none_or(|text| text.len() <= MESSAGE_MAX)));
    let (fetched, none, grant) = (env::Fetched::default(), BTreeMap::new(), DeviceGrant::default());
    for (kind, container) in containers_of(pod) {
        let _ = env::references(&container);
        let Ok(variables) = render::environment(&node, &ctx, &container, &fetched, &[]) else { continue };
        let size: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size <= MESSAGE_MAX, "{size} bytes of variables");
        let sub_paths = render::sub_paths(&ctx, &container, &variables).unwrap_or_default();
        for sub_path in &sub_paths {
            let leads_out = |part| matches!(part, std::path::Component::ParentDir | std::path::Component::RootDir);
            assert!(!Path::new(&sub_path.path).components().any(leads_out), "{:?}", sub_path.path);
        }
        let resolved = sub_paths.iter().map(|path| (path.index, Path::new("/v").join(&path.path))).collect();
        let inputs = ContainerInputs {
            container: &container,
            attempt: 0,
            image_ref: "sha256:0",
            image_user: &ImageUser::default(),
            env: &variables,
            sub_paths: &resolved,
            image_volumes: &none,
            hosts_file: None,
            termination_file: None,
            target: None,
            grant: &grant,
        };
        let config = render::container(&node, &ctx, &inputs);
        assert_eq!(config, render::container(&node, &ctx, &inputs));
        if let Ok(config) = config {
            assert!(config.encoded_len() <= MESSAGE_MAX, "{} bytes for the runtime", config.encoded_len());
            let security = config.linux.and_then(|linux| linux.security_context).expect("a security context");
            let privileged = container.security_context.as_ref().and_then(|context| context.privileged);
            assert_eq!(security.privileged, privileged == Some(true), "{kind:?}");
        }
    }
}

/// Probes with a manual clock: a probe that was answered is never due again immediately, forever.
fn probe(pod: &Pod) {
    let shared = Arc::new(pod.clone());
    let of = |name: &str| ProbedContainer {
        name: name.to_owned(),
        kind: ContainerKind::Regular,
        id: format!("{name}-0").into(),
        started_at: now(),
        known_started: false,
    };
    let regular = pod.spec.iter().flat_map(|spec| &spec.containers);
    for container in regular.clone() {
        let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
        for probe in probes.into_iter().flatten() {
            let _ = derive_check(probe, container, Some("10.0.0.2"), "agent");
        }
    }
    let containers: Vec<_> = regular.map(|container| of(&container.name)).collect();
    let subject = ProbeSubject { pod: shared, pod_ips: vec!["10.0.0.2".into()], containers, terminating: false };
    let mut probes = PodProbes::new(Duration::ZERO, 0.5);
    let mut at = Duration::from_secs(1);
    probes.observe(&subject, at, |_| Duration::ZERO);
    for turn in 0..16 {
        let Some(due) = probes.next_due() else { break };
        at = at.max(due);
        let runs = probes.take_due(at);
        assert!(runs.len() <= 3 * subject.containers.len());
        for run in runs {
            let result = if turn % 3 == 0 { ProbeResult::Failure } else { ProbeResult::Success };
            probes.answer(&run, Some(result), at, at);
        }
    }
    let _ = probes.results();
}
