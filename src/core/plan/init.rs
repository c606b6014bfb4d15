//! Init containers and sidecars: which one is next (upstream `computeInitContainerActions`).

use k8s_openapi::api::core::v1::{Container, Pod};

use super::action::KillContainer;
use super::inputs::Inputs;
use super::kill::{KillReason, container_grace, kill};
use super::restart::{changed, exited_should_restart, killed_should_restart};
use crate::core::model::{ContainerKind, ObservedContainer, ProbeResult, RunState};

/// The plan for the init containers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct InitPlan {
    /// All of them have completed (sidecars: started): regular containers may start.
    pub initialized: bool,
    /// One failed permanently: the pod has to be terminated.
    pub failed: bool,
    /// Indices into `spec.initContainers` to start, in order.
    pub start: Vec<usize>,
    /// Records to kill first.
    pub kill: Vec<KillContainer>,
}

/// True if an init container is a sidecar.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// True if an exited init container failed.
pub fn init_failed(record: &ObservedContainer) -> bool {
    record.state == RunState::Exited && (record.exit_code != 0 || record.reason == "OOMKilled")
        || record.state == RunState::Unknown
}

/// What to do about one init container.
enum InitStep {
    /// Nothing, and it has not completed.
    Busy,
    /// Nothing: it has completed (a sidecar: started); the next one may start.
    Done,
    /// Start it, after killing its record if one is given.
    Start(Option<KillContainer>),
    /// It has completed, but has to be restarted after a kill.
    DoneAndRestart(KillContainer),
    /// It failed and is not restarted.
    Failed,
}

/// Iterates from the last to the first: the latest one with a record decides, because older records may have been
/// removed.
pub(super) fn plan_init(inputs: &Inputs<'_>) -> InitPlan {
    let Inputs { pod, observed, .. } = *inputs;
    let Some(spec) = &pod.spec else { return InitPlan::default() };
    let inits: &[Container] = spec.init_containers.as_deref().unwrap_or_default();
    if inits.is_empty() {
        return InitPlan { initialized: true, ..InitPlan::default() };
    }
    // Init containers that completed in an older sandbox have to run again in this one. Upstream removes their records
    // before it creates a sandbox; here the newest one is kept for its restart count.
    let sandbox = observed.sandbox().map(|s| &s.id);
    let in_sandbox = |name: &str| observed.container(name).filter(|record| Some(&record.sandbox) == sandbox);
    let regular_ran = spec
        .containers
        .iter()
        .any(|c| in_sandbox(&c.name).is_some_and(|r| matches!(r.state, RunState::Created | RunState::Running)));
    let mut plan = InitPlan { initialized: regular_ran, ..InitPlan::default() };
    // True once a record of a later container (or a regular one) shows that this one had completed.
    let mut passed = regular_ran;
    for (index, container) in inits.iter().enumerate().rev() {
        let sidecar = is_sidecar(container);
        let Some(record) = in_sandbox(&container.name) else {
            if passed && sidecar {
                plan.start.push(index);
            }
            continue;
        };
        if passed && !sidecar {
            continue;
        }
        let look =
            if sidecar { look_at_sidecar(inputs, container, record) } else { look_at_init(pod, container, record) };
        let done = |plan: &mut InitPlan| {
            let next = index.saturating_add(1);
            if next == inits.len() {
                plan.initialized = true;
            } else if !passed {
                plan.start.push(next);
            }
        };
        match look {
            InitStep::Busy => {}
            InitStep::Done => done(&mut plan),
            InitStep::Start(first) => {
                plan.kill.extend(first);
                plan.start.push(index);
            }
            InitStep::DoneAndRestart(first) => {
                done(&mut plan);
                plan.kill.push(first);
                plan.start.push(index);
            }
            InitStep::Failed => return InitPlan { failed: true, ..InitPlan::default() },
        }
        passed = true;
    }
    if !passed {
        plan.start.push(0);
    }
    plan.start.reverse();
    plan
}

fn look_at_sidecar(inputs: &Inputs<'_>, container: &Container, record: &ObservedContainer) -> InitStep {
    let Inputs { pod, probes, .. } = *inputs;
    let name = &container.name;
    let end = |reason, message: String| {
        let grace = container_grace(pod, container, reason);
        kill(Some(container), ContainerKind::Sidecar, record, grace, message)
    };
    match record.state {
        RunState::Created | RunState::Exited => InitStep::Start(None),
        RunState::Unknown => InitStep::Start(Some(end(
            KillReason::Other,
            "Init container is in \"unknown\" state, try killing it before restart".into(),
        ))),
        RunState::Running => {
            let results = probes.get(&record.id).copied().unwrap_or_default();
            if container.startup_probe.is_some() {
                match results.startup {
                    None => return InitStep::Busy,
                    Some(ProbeResult::Failure) => {
                        let message = format!("Init container {name} failed startup probe");
                        return InitStep::Start(Some(end(KillReason::Startup, message)));
                    }
                    Some(ProbeResult::Success) => {}
                }
            }
            if changed(container, record) {
                return InitStep::DoneAndRestart(end(
                    KillReason::Other,
                    format!("Init container {name} definition changed"),
                ));
            }
            if container.liveness_probe.is_some() && results.liveness == Some(ProbeResult::Failure) {
                let message = format!("Init container {name} failed liveness probe");
                return InitStep::DoneAndRestart(end(KillReason::Liveness, message));
            }
            if inputs.ledger.resize.restart.contains(&record.id) {
                let message = format!("Container {name} resize requires restart");
                return InitStep::DoneAndRestart(end(KillReason::Other, message));
            }
            InitStep::Done
        }
    }
}

fn look_at_init(pod: &Pod, container: &Container, record: &ObservedContainer) -> InitStep {
    let Some(spec) = &pod.spec else { return InitStep::Busy };
    match record.state {
        RunState::Created => InitStep::Start(None),
        RunState::Running => InitStep::Busy,
        RunState::Exited if !init_failed(record) => InitStep::Done,
        RunState::Exited => {
            // With the pod's policy Always, an init container is restarted only if it failed.
            if exited_should_restart(container, spec, record.exit_code) {
                InitStep::Start(None)
            } else {
                InitStep::Failed
            }
        }
        RunState::Unknown => {
            if !killed_should_restart(container, spec) {
                return InitStep::Failed;
            }
            let message = "Init container is in \"unknown\" state, try killing it before restart".into();
            let grace = container_grace(pod, container, KillReason::Other);
            InitStep::Start(Some(kill(Some(container), ContainerKind::Init, record, grace, message)))
        }
    }
}
