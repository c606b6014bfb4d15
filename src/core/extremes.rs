//! Properties: decisions on numbers from outside, however large, small or negative, neither panic nor wrap around.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod, PodStatus};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::core::admission::{NodeFacts, decide};
use crate::core::evict::{self, Candidate, PressureState, Signal};
use crate::core::gc::{ImageAges, ImageLimits};
use crate::core::images::PullBackoff;
use crate::core::model::kubelet_spec::{EvictionSettings, ShutdownSettings};
use crate::core::model::totals::{limit_declared, pod_limits, pod_requests, qos_class};
use crate::core::model::usage::{
    ContainerUsage, FsUsage, MemoryUsage, NodeUsage, PodReference, PodUsage, ProcessUsage,
};
use crate::core::model::{
    Amount, ContainerKind, MachineFacts, Observed, ObservedContainer, ObservedSandbox, ProbeSubject, ProbedContainer,
    RunState,
};
use crate::core::plan::{EndCause, Inputs, Ledger, Stage, end_pod, plan, plan_end};
use crate::core::probes::PodProbes;
use crate::core::render::resources::{container_resources, overhead_resources, sandbox_resources};
use crate::core::render::{DeviceGrant, NodeContext, expand};
use crate::core::server::{Query, parse_journal_query, parse_log_request};
use crate::core::{logs, shutdown, static_units, status, usage};
use crate::cri;

/// Whole numbers, with extremes of the type more likely than others.
fn int64() -> BoxedStrategy<i64> {
    prop_oneof![
        Just(i64::MIN),
        Just(i64::MAX),
        Just(i64::MAX - 1),
        Just(-1),
        Just(0),
        Just(1),
        Just(i64::from(i32::MAX) + 1),
        any::<i64>(),
    ]
    .boxed()
}

fn int32() -> BoxedStrategy<i32> {
    prop_oneof![Just(i32::MIN), Just(i32::MAX), Just(-1), Just(0), Just(1), any::<i32>()].boxed()
}

fn bytes() -> BoxedStrategy<u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(u64::MAX / 2), any::<u64>()].boxed()
}

fn moment() -> BoxedStrategy<Timestamp> {
    prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        Just(Timestamp::UNIX_EPOCH),
        (0..4_000_000_000i64).prop_map(|second| Timestamp::from_second(second).unwrap()),
    ]
    .boxed()
}

fn signed() -> BoxedStrategy<SignedDuration> {
    prop_oneof![Just(SignedDuration::MIN), Just(SignedDuration::MAX), int64().prop_map(SignedDuration::from_secs)]
        .boxed()
}

/// Quantities that the API server accepts, and invalid texts.
fn quantity() -> BoxedStrategy<String> {
    prop_oneof![
        prop::sample::select(vec![
            "0",
            "9E",
            "8Ei",
            "1e308",
            "-1e308",
            "1e-308",
            "1e999999999999",
            "9223372036854775807",
            "-9223372036854775808",
            "99999999999999999999999999999999999999999999",
            "0.00000000000000000000000000000000000000001",
            "-1",
            "-9E",
            "1n",
            "Ki",
            ""
        ])
        .prop_map(str::to_owned),
        (any::<i64>(), prop::sample::select(vec!["", "m", "n", "u", "k", "E", "Ki", "Ei", "e9", "e-9"]))
            .prop_map(|(number, suffix)| format!("{number}{suffix}")),
    ]
    .boxed()
}

fn amounts() -> BoxedStrategy<Value> {
    let names = ["cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "example.org/thing"];
    prop::collection::btree_map(prop::sample::select(names.to_vec()), quantity(), 0..5)
        .prop_map(|amounts| serde_json::to_value(amounts).unwrap())
        .boxed()
}

fn probe() -> BoxedStrategy<Value> {
    (prop::collection::vec(int32(), 5), int64()).prop_map(|(n, grace)| {
        json!({
            "exec": {"command": ["true"]}, "initialDelaySeconds": n[0], "periodSeconds": n[1], "timeoutSeconds": n[2],
            "successThreshold": n[3], "failureThreshold": n[4], "terminationGracePeriodSeconds": grace,
        })
    })
        .boxed()
}

fn container(name: &'static str) -> BoxedStrategy<Value> {
    let probes = (probe(), probe(), probe());
    (amounts(), amounts(), probes, int64(), any::<bool>(), any::<bool>())
        .prop_map(move |(requests, limits, (liveness, readiness, startup), sleep, probed, sidecar)| {
            let mut container = json!({
                "name": name, "image": "i", "resources": {"requests": requests, "limits": limits},
                "lifecycle": {"preStop": {"sleep": {"seconds": sleep}}},
            });
            if probed {
                container["livenessProbe"] = liveness;
                container["readinessProbe"] = readiness;
                container["startupProbe"] = startup;
            }
            if sidecar && name == "first" {
                container["restartPolicy"] = json!("Always");
            }
            container
        })
        .boxed()
}

fn pod() -> BoxedStrategy<Arc<Pod>> {
    let numbers = (int64(), int64(), int64(), int32(), prop::option::of(int64()), int64());
    let parts = (container("first"), container("a"), container("b"), amounts(), amounts(), quantity());
    (numbers, parts).prop_map(|(n, (first, a, b, overhead, own, size))| {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "generation": n.5, "deletionGracePeriodSeconds": n.4},
            "spec": {
                "initContainers": [first], "containers": [a, b], "overhead": overhead, "resources": {"requests": own},
                "terminationGracePeriodSeconds": n.0, "activeDeadlineSeconds": n.1, "priority": n.3,
                "tolerations": [{"operator": "Exists", "tolerationSeconds": n.2}],
                "volumes": [{"name": "v", "emptyDir": {"sizeLimit": size}}],
            },
        }))
        .map(Arc::new)
        .unwrap()
    })
        .boxed()
}

/// What the runtime may report about the pod's containers.
fn observed() -> BoxedStrategy<Observed> {
    let state = prop::sample::select(vec![RunState::Created, RunState::Running, RunState::Exited, RunState::Unknown]);
    let attempt = prop_oneof![Just(u32::MAX), Just(0), any::<u32>()];
    let resources = prop::collection::vec(int64(), 4);
    let container = (state, attempt, moment(), moment(), moment(), int32(), resources);
    let sandbox = (any::<u32>(), any::<bool>(), moment());
    (prop::collection::vec(container, 3), sandbox)
        .prop_map(|(containers, (attempt, ready, created_at))| {
            let sandbox = ObservedSandbox {
                id: "s".to_owned().into(),
                attempt: attempt.max(u32::MAX - 1),
                ready,
                created_at,
                host_network: false,
                ips: vec!["10.0.0.2".into()],
            };
            let mut observed = Observed { sandboxes: vec![sandbox], containers: Vec::new() };
            for (name, (state, attempt, made, started, finished, exit_code, n)) in
                ["first", "a", "b"].iter().zip(containers)
            {
                observed.containers.push(ObservedContainer {
                    state,
                    attempt,
                    started_at: Some(started),
                    finished_at: Some(finished),
                    exit_code,
                    resources: Some(cri::LinuxContainerResources {
                        cpu_quota: n[0],
                        cpu_period: n[1],
                        cpu_shares: n[2],
                        memory_limit_in_bytes: n[3],
                        ..cri::LinuxContainerResources::default()
                    }),
                    ..ObservedContainer::made(format!("c-{name}").into(), "s".to_owned().into(), name, made)
                });
            }
            observed.sort();
            observed
        })
        .boxed()
}

fn previous() -> BoxedStrategy<PodStatus> {
    (int32(), int32())
        .prop_map(|(a, b)| {
            let container = |name: &str, count: i32| {
                json!({"name": name, "image": "i", "imageID": "i", "ready": false, "restartCount": count,
                "state": {"running": {}}})
            };
            serde_json::from_value(json!({
                "phase": "Running", "initContainerStatuses": [container("first", a)],
                "containerStatuses": [container("a", b), container("b", a)],
            }))
            .unwrap()
        })
        .boxed()
}

fn ledger(pod: &Pod, delay: SignedDuration, max_backoff: SignedDuration, at: Timestamp) -> Ledger {
    let mut ledger = Ledger { max_backoff, ..Ledger::default() };
    for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
        let key = crate::core::plan::backoff_key(container);
        ledger.backoff.insert(key.clone(), crate::core::plan::Backoff { delay, raised_at: at });
        ledger.raise(&key, at, at);
    }
    ledger
}

fn node_context(n: &[u64]) -> NodeContext {
    NodeContext {
        memory_capacity: n[0],
        swap_capacity: n[1],
        swap_controller: true,
        limited_swap: true,
        cgroup_v2: true,
        huge_page_sizes: vec!["2MB".into(), "18446744073709551615GB".into()],
        ..NodeContext::defaults(Path::new("/k"))
    }
}

fn fs(n: &[u64]) -> Option<FsUsage> {
    Some(FsUsage {
        time: Timestamp::UNIX_EPOCH,
        available_bytes: Some(n[0]),
        capacity_bytes: Some(n[1]),
        used_bytes: Some(n[2]),
        inodes_free: Some(n[0]),
        inodes: Some(n[1]),
        inodes_used: Some(n[2]),
    })
}

fn memory(n: &[u64]) -> Option<MemoryUsage> {
    Some(MemoryUsage {
        time: Timestamp::UNIX_EPOCH,
        available_bytes: Some(n[0]),
        usage_bytes: Some(n[1]),
        working_set_bytes: Some(n[2]),
        rss_bytes: None,
        page_faults: None,
        major_page_faults: None,
        psi: None,
    })
}

fn container_usage(name: &str, n: &[u64]) -> ContainerUsage {
    ContainerUsage {
        name: name.to_owned(),
        start_time: Timestamp::UNIX_EPOCH,
        cpu: None,
        memory: memory(n),
        io: None,
        rootfs: fs(n),
        logs: fs(n),
        swap: None,
    }
}

fn pod_usage(n: &[u64]) -> PodUsage {
    PodUsage {
        pod_ref: PodReference { name: "p".into(), namespace: "n".into(), uid: "u".into() },
        start_time: Timestamp::UNIX_EPOCH,
        containers: vec![container_usage("a", n), container_usage("b", n)],
        cpu: None,
        memory: memory(n),
        io: None,
        network: None,
        volumes: Vec::new(),
        ephemeral_storage: fs(n),
        processes: Some(ProcessUsage { process_count: n[0] }),
        swap: None,
    }
}

fn reservations(of: &[String]) -> EvictionSettings {
    let each = |text: &String| ["cpu", "memory", "ephemeral-storage", "pid"].map(|k| (k.to_owned(), text.clone()));
    let signals = ["memory.available", "nodefs.available", "imagefs.inodesFree", "pid.available"];
    EvictionSettings {
        hard: signals.iter().zip(of).map(|(signal, text)| ((*signal).to_owned(), text.clone())).collect(),
        soft: BTreeMap::new(),
        soft_grace: BTreeMap::new(),
        minimum_reclaim: signals.iter().zip(of).map(|(signal, text)| ((*signal).to_owned(), text.clone())).collect(),
        transition: Duration::MAX,
        max_pod_grace: i64::MAX,
        kube_reserved: each(&of[0]).into(),
        system_reserved: each(&of[1]).into(),
        enforce: vec!["pods".into(), "kube-reserved".into()],
        kube_reserved_cgroup: "/kube".into(),
        system_reserved_cgroup: "/system".into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_pod_is_planned_ended_and_its_status_derived(
        pod in pod(), observed in observed(), previous in previous(),
        (delay, limit) in (signed(), signed()), (at, now) in (moment(), moment()),
    ) {
        let ledger = ledger(&pod, delay, limit, at);
        let probes = observed.containers.iter().map(|c| {
            let failed = Some(crate::core::model::ProbeResult::Failure);
            (c.id.clone(), crate::core::model::ContainerProbes { liveness: failed, readiness: failed, startup: None })
        }).collect();
        let inputs = Inputs { pod: &pod, observed: &observed, ledger: &ledger, probes: &probes, now };
        plan(&inputs);
        let end = end_pod(None, EndCause::Deleted, &pod, at);
        prop_assert!(end.grace_seconds >= 1);
        plan_end(&pod, &observed, &end, now);
        for stage in [
            Stage::Running,
            Stage::Terminated { cleaned: false },
            Stage::Finished { told: true, records_removed: false },
        ] {
            status::derive(&status::Inputs {
                pod: &pod, is_static: false, observed: &observed, ledger: &ledger, probes: &probes, previous: &previous,
                stage, rejection: None, host_ips: &[], recursive_read_only: false, kubelet_started: at, now,
            });
        }
        static_units::derive_state(&previous, None);
    }

    #[test]
    fn resources_are_counted_rendered_and_admitted(
        pod in pod(), others in prop::collection::vec(pod(), 0..3), allocatable in amounts(),
        n in prop::collection::vec(bytes(), 2),
    ) {
        let (requests, limits) = (pod_requests(&pod, true), pod_limits(&pod, true));
        for amount in requests.values().chain(limits.values()) {
            let _ = (amount.units(), amount.milli(), amount.div_ceil(Amount::from_milli(1)));
        }
        let _ = (limit_declared(&pod, "cpu"), qos_class(&pod));
        let node = node_context(&n);
        let (sandbox, _) = (sandbox_resources(&node, &pod), overhead_resources(&node, &pod));
        prop_assert!((2..=262_144).contains(&sandbox.cpu_shares));
        for container in &pod.spec.as_ref().unwrap().containers {
            let resources = container_resources(&node, &pod, container, &DeviceGrant::default());
            prop_assert!((-1000..=1000).contains(&resources.oom_score_adj));
        }
        let node: Node = serde_json::from_value(json!({"status": {"allocatable": allocatable}})).unwrap();
        decide(&pod, false, &others, &NodeFacts::of(&node));
        decide(&pod, true, &others, &NodeFacts::of(&node));
    }

    #[test]
    fn probes_come_due_and_are_answered(
        pod in pod(), jitter in 0.0..1.0f64, ages in prop::collection::vec(bytes(), 2), now in bytes(),
    ) {
        let now = Duration::from_secs(now);
        let containers = ["a", "b"].iter().map(|name| ProbedContainer {
            name: (*name).to_owned(),
            kind: ContainerKind::Regular,
            id: format!("c-{name}").into(),
            started_at: Timestamp::UNIX_EPOCH,
            known_started: *name == "a",
        });
        let subject = ProbeSubject {
            pod, pod_ips: Vec::new(), containers: containers.collect(), terminating: false,
        };
        let mut probes = PodProbes::new(now, jitter);
        probes.observe(&subject, now, |container| Duration::from_secs(ages[usize::from(container.known_started)]));
        for _ in 0..4 {
            let Some(due) = probes.next_due() else { break };
            for run in probes.take_due(due) {
                probes.answer(&run, Some(crate::core::model::ProbeResult::Failure), due, due);
            }
        }
    }

    #[test]
    fn nodes_are_measured_and_pods_evicted(
        pod in pod(), n in prop::collection::vec(bytes(), 3), texts in prop::collection::vec(quantity(), 4),
        (at, now) in (moment(), moment()), cpus: u32,
    ) {
        let settings = reservations(&texts);
        let node = NodeUsage {
            node_name: "n".into(), system_containers: vec![container_usage("pods", &n)], start_time: at, cpu: None,
            memory: memory(&n), io: None, network: None, fs: fs(&n), runtime: None, rlimit: None, swap: None,
        };
        let observed = evict::derive_observations(&node);
        let usage = pod_usage(&n);
        let thresholds = evict::parse_thresholds(&settings).unwrap_or_default();
        let mut pressure = PressureState::default();
        pressure.observe(&thresholds, &observed, settings.transition, at);
        pressure.observe(&thresholds, &observed, settings.transition, now);
        for threshold in &thresholds {
            evict::describe_eviction(threshold, &observed, &pod, Some(&usage));
        }
        evict::exceeds_local_limit(&pod, &usage, false);
        let mut candidates = [Candidate { pod: Arc::clone(&pod), usage: Some(usage) }];
        for signal in [Signal::Memory, Signal::NodeFs, Signal::NodeFsInodes, Signal::Pid] {
            evict::rank(signal, &mut candidates);
        }
        let machine = MachineFacts {
            cpus, memory: n[0], max_pids: n[1], root_fs: n[2], huge_pages: BTreeMap::from([(1 << 21, n[0]), (0, n[1])]),
            ..MachineFacts::default()
        };
        crate::core::node::limits_of_all_pods(&machine, &settings);
        crate::core::node::limits_of_services(&settings);
    }

    #[test]
    fn files_of_the_kernel_are_read(numbers in prop::collection::vec(bytes(), 3), (at, now) in (moment(), moment())) {
        struct Files(String, String);
        impl usage::CgroupFiles for Files {
            fn read(&self, _: &str, name: &str) -> Option<String> {
                Some(if name.contains("io") || name.contains("stat") { self.0.clone() } else { self.1.clone() })
            }
        }
        let [n, m, k] = numbers[..] else { return Ok(()) };
        let lines = format!(
            "usage_usec {n}\nuser_usec {m}\nthrottled_usec {k}\ninactive_file {m}\n8:0 Read {n}\n8:0 Write {m}\n\
             8:0 rbytes={n} wbytes={m} rios={k} wios={n}\nsome avg10=0 avg60=0 avg300=0 total={n}\n"
        );
        let mut rate = usage::Rate::default();
        for sample in [
            usage::parse_sample_v2(&Files(lines.clone(), n.to_string()), at),
            usage::parse_sample_v2(&Files(lines.clone(), format!("{n} {m}")), now),
            usage::parse_sample_v1(&Files(lines.clone(), m.to_string()), at),
        ] {
            rate.push(sample.at, sample.cpu.usage.unwrap_or(k));
            usage::derive_cpu(&sample, None);
            usage::derive_memory(&sample, Some(k));
            usage::derive_swap(&sample, Some(n));
            usage::derive_io(&sample);
        }
        usage::parse_net_dev(&format!("a\nb\n eth0: {n} {m} {k} 0 0 0 0 0 {n} {m} {k} 0 0 0 0 0\n"));
    }

    #[test]
    fn images_are_collected_and_pulled_again(
        sizes in prop::collection::vec(bytes(), 1..4), (capacity, available) in (bytes(), bytes()),
        (high, low) in (any::<u8>(), any::<u8>()), (minimum_age, maximum_age) in (signed(), signed()),
        moments in prop::collection::vec(moment(), 4),
    ) {
        let images: Vec<_> = sizes.iter().enumerate()
            .map(|(n, size)| cri::Image { id: n.to_string(), size: *size, ..cri::Image::default() }).collect();
        let mut ages = ImageAges::default();
        let limits = ImageLimits { high, low, minimum_age, maximum_age };
        let mut backoff = PullBackoff::default();
        for now in moments {
            ages.observe(&images, &BTreeSet::new(), now);
            ages.plan(capacity, available, limits, now);
            ages.plan_all(now);
            backoff.waiting(&"u".into(), "i", now);
            backoff.failed(&"u".into(), "i", String::new(), now);
        }
    }

    #[test]
    fn settings_and_queries_are_read(
        (n, m) in (int64(), int64()), (at, now) in (moment(), moment()), seconds in prop::collection::vec(bytes(), 3),
        priority in int32(), text in ".{0,40}", (total, critical) in (bytes(), bytes()), files: u32,
    ) {
        for query in [
            format!("tailLines={n}&limitBytes={m}&sinceSeconds={n}"),
            format!("tail={m}&sinceSeconds={m}&sinceTime={at}"),
            format!("query=kubelet&tailLines={n}&boot={m}&sinceTime={at}&untilTime={now}"),
            text.clone(),
        ] {
            let query = Query::parse(&query);
            let _ = (parse_log_request(&query, now), parse_journal_query(&query));
        }
        let _ = expand(&text, |name| (name.len() > 1).then_some("value"));
        static_units::priority_of(text.as_bytes());
        let _ = logs::parse_line(text.as_bytes());
        logs::plan_rotation("0.log", &["0.log.1".into(), "0.log.2".into()], files);
        let by_priority = seconds.iter().map(|seconds| (priority, *seconds)).collect();
        let (total, critical) = (Duration::from_secs(total), Duration::from_secs(critical));
        for by_priority in [by_priority, Vec::new()] {
            let turns = shutdown::plan_turns(&ShutdownSettings { total, critical, by_priority });
            shutdown::total(&turns);
            for turn in turns {
                let order = shutdown::order(turn.seconds, &Pod::default());
                prop_assert!(order.grace_seconds.is_none_or(|grace| grace >= 0));
            }
        }
        crate::core::credentials::derive_rotation(at, now, 0.5);
        crate::core::model::pki::renewal_due(at, now);
    }
}
