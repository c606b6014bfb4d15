//! `status.phase` from specs and container statuses (upstream `getPhase`).

use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodSpec, PodStatus};

use super::inputs::Inputs;
use super::lists::status_of;
use crate::core::model::ContainerKind;
use crate::core::plan::{is_sidecar, restart};
use std::num::Saturating;

/// Reason of containers that were killed because all containers of the pod restart.
pub(super) const RESTARTING_ALL: &str = "RestartingAllContainers";

/// A container's contribution to the phase.
enum State {
    Running {
        started: bool,
    },
    /// Exited, now or before a back-off.
    Stopped {
        exit_code: i32,
        restarts: bool,
        waits: bool,
    },
    /// Waiting, and it never ran.
    Waiting,
    Unknown,
}

fn state(spec: &PodSpec, container: &Container, status: Option<&ContainerStatus>) -> State {
    let Some(status) = status else { return State::Unknown };
    let Some(state) = &status.state else { return State::Unknown };
    if state.running.is_some() {
        return State::Running { started: status.started.unwrap_or(false) };
    }
    let (terminated, waits) = match (&state.terminated, &state.waiting) {
        (Some(terminated), _) => (Some(terminated), false),
        (None, Some(_)) => (status.last_state.as_ref().and_then(|s| s.terminated.as_ref()), true),
        (None, None) => return State::Unknown,
    };
    let Some(terminated) = terminated else { return State::Waiting };
    let restarts = restart::exited_should_restart(container, spec, terminated.exit_code)
        || terminated.reason.as_deref() == Some(RESTARTING_ALL);
    State::Stopped { exit_code: terminated.exit_code, restarts, waits }
}

#[derive(Default)]
struct Counts {
    init_pending: Saturating<usize>,
    sidecar_pending: Saturating<usize>,
    init_failed: bool,
    unknown: Saturating<usize>,
    running: Saturating<usize>,
    waiting: Saturating<usize>,
    stopped: Saturating<usize>,
    stopped_for_good: Saturating<usize>,
    succeeded: Saturating<usize>,
}

fn count(spec: &PodSpec, status: &PodStatus) -> Counts {
    let mut n = Counts::default();
    for container in spec.init_containers.iter().flatten() {
        let found = status_of(status, ContainerKind::Init, &container.name);
        let state = state(spec, container, found);
        if is_sidecar(container) {
            match state {
                State::Running { started } => {
                    n.running += 1;
                    n.sidecar_pending += usize::from(!started);
                }
                State::Stopped { .. } => {}
                State::Waiting => {
                    n.sidecar_pending += 1;
                    n.waiting += 1;
                }
                State::Unknown => {
                    n.sidecar_pending += usize::from(found.is_some());
                    n.unknown += 1;
                }
            }
        } else {
            match state {
                State::Stopped { exit_code: 0, waits: true, .. }
                | State::Stopped { exit_code: 0, waits: false, .. } => {}
                State::Stopped { restarts, .. } => n.init_failed |= !restarts,
                State::Running { .. } | State::Waiting | State::Unknown => n.init_pending += 1,
            }
        }
    }
    for container in &spec.containers {
        match state(spec, container, status_of(status, ContainerKind::Regular, &container.name)) {
            State::Running { .. } => n.running += 1,
            State::Stopped { exit_code, restarts, waits } => {
                n.stopped += 1;
                n.stopped_for_good += usize::from(!restarts);
                n.succeeded += usize::from(exit_code == 0 && !waits);
            }
            State::Waiting => n.waiting += 1,
            State::Unknown => n.unknown += 1,
        }
    }
    n
}

/// The phase that follows from the containers' states.
pub(super) fn derive(inputs: &Inputs<'_>, status: &PodStatus) -> &'static str {
    let Some(spec) = &inputs.pod.spec else { return "Pending" };
    let n = count(spec, status);
    if n.init_failed {
        return "Failed";
    }
    let initialized = inputs.observed.active().any(|r| spec.containers.iter().any(|c| c.name == r.name));
    if n.init_pending.0 > 0 || (n.sidecar_pending.0 > 0 && !initialized) || n.waiting.0 > 0 {
        return "Pending";
    }
    if n.running.0 > 0 && n.unknown.0 == 0 {
        return "Running";
    }
    if n.running.0 == 0 && n.stopped.0 > 0 && n.unknown.0 == 0 {
        let over = inputs.stage.has_ended() && !inputs.is_static;
        if !over && n.stopped > n.stopped_for_good {
            return "Running";
        }
        return if n.stopped == n.succeeded { "Succeeded" } else { "Failed" };
    }
    "Pending"
}
