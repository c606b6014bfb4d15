//! Properties of the planner over random pods, random histories and a kubelet that crashes after any call.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::core::model::{ContainerId, ObservedContainer, ObservedSandbox, ProbeResults, SandboxId};

/// A runtime in memory that executes actions.
struct World {
    observed: Observed,
    now: Timestamp,
    made: i64,
    /// Highest restart count of each name, as log files would show.
    logs: BTreeMap<String, u32>,
}

impl World {
    fn new() -> Self {
        let now = Timestamp::from_second(1_000_000).unwrap();
        Self { observed: Observed::default(), now, made: 0, logs: BTreeMap::new() }
    }

    fn tick(&mut self) -> Timestamp {
        self.now += SignedDuration::from_secs(1);
        self.now
    }

    fn exit(&mut self, id: &ContainerId, exit_code: i32) {
        let at = self.tick();
        if let Some(c) = self.observed.containers.iter_mut().find(|c| &c.id == id && c.state == RunState::Running) {
            c.state = RunState::Exited;
            c.exit_code = exit_code;
            c.finished_at = Some(at);
        }
    }

    fn apply(&mut self, action: &Action, ledger: &mut Ledger) {
        let at = self.tick();
        match action {
            Action::Kill(kills) => kills.iter().for_each(|k| self.exit(&k.id, 137)),
            Action::Remove(ids) => self.observed.containers.retain(|c| !ids.contains(&c.id)),
            Action::StopSandboxes(ids) => {
                self.observed.sandboxes.iter_mut().filter(|s| ids.contains(&s.id)).for_each(|s| s.ready = false);
            }
            Action::RemoveSandboxes(ids) => {
                self.observed.sandboxes.retain(|s| !ids.contains(&s.id));
                self.observed.containers.retain(|c| !ids.contains(&c.sandbox));
            }
            Action::CreateSandbox { attempt } => {
                self.made += 1;
                self.observed.sandboxes.push(ObservedSandbox {
                    id: SandboxId::from(format!("s{}", self.made)),
                    attempt: *attempt,
                    ready: true,
                    created_at: at,
                    host_network: false,
                    ips: vec!["10.0.0.2".into()],
                });
            }
            Action::SizePod(_) | Action::Update { .. } => {}
            Action::Start(start) => self.start(start, at, ledger),
        }
        self.observed.sort();
    }

    fn start(&mut self, start: &StartContainer, at: Timestamp, ledger: &mut Ledger) {
        let name = &start.name;
        let alive = self.observed.containers.iter().any(|c| &c.name == name && c.state == RunState::Running);
        assert!(!alive, "{name} would run twice");
        let attempt = start.attempt.unwrap_or_else(|| self.logs.get(name).map_or(0, |n| n + 1));
        let before = self.logs.insert(name.clone(), attempt);
        assert!(before.is_none_or(|b| b < attempt), "{name} goes from {before:?} back to {attempt}");
        self.made += 1;
        let sandbox = self.observed.sandbox().filter(|s| s.ready).expect("a container needs a sandbox").id.clone();
        self.observed.containers.push(ObservedContainer {
            attempt,
            state: RunState::Running,
            started_at: Some(at),
            ..ObservedContainer::made(ContainerId::from(format!("c{}", self.made)), sandbox, name, at)
        });
        if let Some((key, finished)) = &start.raise {
            ledger.raise(key, *finished, at);
        }
    }
}

/// What happens between two calls.
#[derive(Clone, Debug)]
enum Happening {
    /// Nothing happens in between.
    Quiet,
    /// The running container with this index exits with this code.
    Exit(usize, i32),
    /// The newest sandbox fails with everything that runs in it.
    SandboxDies,
    /// The kubelet restarts and has lost its ledger.
    Forget,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        4 => Just(Happening::Quiet),
        3 => (0..4usize, prop_oneof![Just(0), Just(1), Just(88), Just(i32::MIN), Just(i32::MAX)]).prop_map(|(n, code)| Happening::Exit(n, code)),
        1 => Just(Happening::SandboxDies),
        1 => Just(Happening::Forget),
    ];
    prop::collection::vec(one, 0..25)
}

fn pods() -> impl Strategy<Value = Pod> {
    let policy = prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")];
    let inits = prop::collection::vec(any::<bool>(), 0..3);
    let extreme = || prop_oneof![Just(i64::MIN), Just(-1), Just(0), Just(30), Just(i64::MAX), any::<i64>()];
    let numbers = (extreme(), extreme(), prop::option::of(extreme()), extreme());
    (policy, inits, 1..3usize, any::<bool>(), numbers).prop_map(|(policy, inits, regular, reset, numbers)| {
        let (grace, deadline, deletion_grace, sleep) = numbers;
        let inits: Vec<_> = inits
            .iter()
            .enumerate()
            .map(|(n, sidecar)| {
                let mut c = json!({"name": format!("i{n}"), "image": "i"});
                if *sidecar {
                    c["restartPolicy"] = json!("Always");
                }
                c
            })
            .collect();
        let regular: Vec<_> = (0..regular)
            .map(|n| {
                let hook = json!({"preStop": {"sleep": {"seconds": sleep}}});
                let mut c = json!({"name": format!("a{n}"), "image": "i", "lifecycle": hook});
                if reset && n == 0 {
                    c["restartPolicy"] = json!("Never");
                    let codes = json!({"operator": "In", "values": [88]});
                    c["restartPolicyRules"] = json!([{"action": "RestartAllContainers", "exitCodes": codes}]);
                }
                c
            })
            .collect();
        serde_json::from_value(json!({
            "metadata": {
                "name": "p", "namespace": "n", "uid": "u", "deletionGracePeriodSeconds": deletion_grace,
            },
            "spec": {
                "restartPolicy": policy, "initContainers": inits, "containers": regular,
                "terminationGracePeriodSeconds": grace, "activeDeadlineSeconds": deadline,
            }
        }))
        .unwrap()
    })
}

fn happen(world: &mut World, ledger: &mut Ledger, happening: &Happening) {
    match happening {
        Happening::Quiet => {}
        Happening::Exit(rank, code) => {
            let running: Vec<_> = world
                .observed
                .containers
                .iter()
                .filter(|c| c.state == RunState::Running)
                .map(|c| c.id.clone())
                .collect();
            if let Some(id) = running.get(*rank) {
                world.exit(id, *code);
            }
        }
        Happening::SandboxDies => {
            let running: Vec<_> = world.observed.alive().map(|c| c.id.clone()).collect();
            running.iter().for_each(|id| world.exit(id, 137));
            world.observed.sandboxes.iter_mut().for_each(|s| s.ready = false);
        }
        Happening::Forget => *ledger = Ledger::default(),
    }
}

fn next(pod: &Pod, world: &World, ledger: &Ledger) -> Plan {
    let probes = ProbeResults::new();
    let inputs = Inputs { pod, observed: &world.observed, ledger, probes: &probes, now: world.now };
    let plan = plan(&inputs);
    assert_eq!(plan, super::plan(&inputs), "the same input gives the same plan");
    plan
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_container_runs_twice_no_count_goes_back_and_quiet_pods_settle(pod in pods(), happenings in happenings()) {
        let (mut world, mut ledger) = (World::new(), Ledger::default());
        for happening in &happenings {
            happen(&mut world, &mut ledger, happening);
            // Only the first call of each plan is made: the kubelet may crash after any of them.
            if let Some(action) = next(&pod, &world, &ledger).actions.first() {
                world.apply(action, &mut ledger);
            }
        }
        // From here on init containers succeed; everything else keeps running.
        for _ in 0..60 {
            let plan = next(&pod, &world, &ledger);
            if let Some(at) = plan.wake_at.filter(|_| plan.actions.is_empty()) {
                world.now = at;
                continue;
            }
            let Some(action) = plan.actions.first() else {
                let inits: Vec<_> = pod.spec.iter().flat_map(|s| s.init_containers.iter().flatten())
                    .filter(|c| !is_sidecar(c)).map(|c| c.name.clone()).collect();
                let busy: Vec<_> =
                    world.observed.alive().filter(|c| inits.contains(&c.name)).map(|c| c.id.clone()).collect();
                if busy.is_empty() {
                    break;
                }
                busy.iter().for_each(|id| world.exit(id, 0));
                continue;
            };
            world.apply(action, &mut ledger);
        }
        let plan = next(&pod, &world, &ledger);
        prop_assert!(plan.actions.is_empty(), "never settles: {:?}", plan.actions);
        prop_assert!(world.observed.sandboxes.iter().filter(|s| s.ready).count() <= 1);
    }

    #[test]
    fn an_ending_pod_ends_wherever_it_is_cut_short(pod in pods(), happenings in happenings()) {
        let (mut world, mut ledger) = (World::new(), Ledger::default());
        for happening in &happenings {
            happen(&mut world, &mut ledger, happening);
            if let Some(action) = next(&pod, &world, &ledger).actions.first() {
                world.apply(action, &mut ledger);
            }
        }
        let end = end_pod(None, EndCause::Removed, &pod, world.now);
        for _ in 0..10 {
            let Some(action) = plan_end(&pod, &world.observed, &end, world.now).into_iter().next() else { break };
            let kills = if let Action::Kill(kills) = &action { kills.as_slice() } else { &[] };
            prop_assert!(kills.iter().all(|kill| kill.grace_seconds >= 1), "a grace of no time");
            let starts = matches!(action, Action::Start(_) | Action::CreateSandbox { .. });
            prop_assert!(!starts, "an ending pod starts nothing");
            world.apply(&action, &mut ledger);
        }
        prop_assert_eq!(world.observed.alive().count(), 0);
        prop_assert!(world.observed.sandboxes.iter().all(|s| !s.ready));
        for action in plan_removal(&world.observed) {
            world.apply(&action, &mut ledger);
        }
        prop_assert!(world.observed.is_empty());
    }
}
