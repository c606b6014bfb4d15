//! Regular containers: keep, kill, start (upstream `computePodActions`, second half).

use k8s_openapi::api::core::v1::Container;

use super::action::KillContainer;
use super::inputs::Inputs;
use super::kill::{KillReason, container_grace, kill};
use super::restart::{changed, killed_should_restart, should_start};
use crate::core::model::{ContainerKind, ObservedContainer, ProbeResult, RunState};

/// The plan for the regular containers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct RegularPlan {
    /// Number of running containers that are kept.
    pub keep: usize,
    /// Indices into `spec.containers` to start.
    pub start: Vec<usize>,
    /// Records to kill first.
    pub kill: Vec<KillContainer>,
}

pub(super) fn plan_regular(inputs: &Inputs<'_>) -> RegularPlan {
    let Inputs { pod, observed, .. } = *inputs;
    let mut plan = RegularPlan::default();
    let Some(spec) = &pod.spec else { return plan };
    for (index, container) in spec.containers.iter().enumerate() {
        let record = observed.container(&container.name);
        match record {
            Some(record) if record.state == RunState::Running => {
                let Some((reason, cause)) = fault(inputs, container, record) else {
                    plan.keep = plan.keep.saturating_add(1);
                    continue;
                };
                let resized = inputs.ledger.resize.restart.contains(&record.id);
                let restart = resized || changed(container, record) || killed_should_restart(container, spec);
                let message = if restart { format!("{cause}, will be restarted") } else { cause };
                let grace = container_grace(pod, container, reason);
                plan.kill.push(kill(Some(container), ContainerKind::Regular, record, grace, message));
                if restart {
                    plan.start.push(index);
                }
            }
            _ => {
                if !should_start(container, pod, observed) {
                    continue;
                }
                if let Some(record) = record.filter(|r| r.state == RunState::Unknown) {
                    // It may still be running; there must not be two.
                    let message = "Container is in \"unknown\" state, try killing it before restart".into();
                    let grace = container_grace(pod, container, KillReason::Other);
                    plan.kill.push(kill(Some(container), ContainerKind::Regular, record, grace, message));
                }
                plan.start.push(index);
            }
        }
    }
    plan
}

/// Why a running container has to be killed; `None` if it is kept.
fn fault(inputs: &Inputs<'_>, container: &Container, record: &ObservedContainer) -> Option<(KillReason, String)> {
    let name = &container.name;
    if changed(container, record) {
        return Some((KillReason::Other, format!("Container {name} definition changed")));
    }
    let results = inputs.probes.get(&record.id).copied().unwrap_or_default();
    if results.liveness == Some(ProbeResult::Failure) {
        return Some((KillReason::Liveness, format!("Container {name} failed liveness probe")));
    }
    if results.startup == Some(ProbeResult::Failure) {
        return Some((KillReason::Startup, format!("Container {name} failed startup probe")));
    }
    if inputs.ledger.resize.restart.contains(&record.id) {
        return Some((KillReason::Other, format!("Container {name} resize requires restart")));
    }
    None
}
