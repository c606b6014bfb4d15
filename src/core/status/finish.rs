//! The final status of a pod: nothing in it may look as if it were running (upstream `TerminatePod`).

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

use super::containers::unknown_end;
use super::inputs::Inputs;
use crate::core::plan::is_sidecar;

const LOST: &str = "The container could not be located when the pod was terminated";

/// Sets a terminated state for containers without one.
pub(super) fn finish_containers(inputs: &Inputs<'_>, status: &mut PodStatus) {
    let ended = |s: &ContainerStatus| s.state.as_ref().is_some_and(|s| s.terminated.is_some());
    if initialized(inputs, status) {
        for container in status.container_statuses.iter_mut().flatten() {
            if !ended(container) {
                container.state = Some(unknown_end(LOST));
                container.ready = false;
                container.started = Some(false);
            }
        }
    }
    // The last init containers without a sign of a start are left waiting: they never ran.
    let inits = status.init_container_statuses.as_deref_mut().unwrap_or_default();
    let began = |s: &ContainerStatus| {
        s.last_state.as_ref().is_some_and(|l| l.terminated.is_some())
            || s.state.as_ref().is_some_and(|s| s.waiting.is_none())
    };
    let count = inits.iter().rposition(began).map_or(0, |last| last.saturating_add(1));
    for container in inits.iter_mut().take(count) {
        if !ended(container) {
            container.state = Some(unknown_end(LOST));
            container.ready = false;
            container.started = Some(false);
        }
    }
}

/// True if the regular containers may have run.
fn initialized(inputs: &Inputs<'_>, status: &PodStatus) -> bool {
    let inits = inputs.pod.spec.as_ref().and_then(|s| s.init_containers.as_deref()).unwrap_or_default();
    let Some(last) = inits.last() else { return true };
    let moved = status.container_statuses.iter().flatten().any(|s| {
        s.last_state.as_ref().is_some_and(|l| l.terminated.is_some())
            || s.state.as_ref().is_some_and(|s| s.waiting.is_none())
    });
    if moved {
        return true;
    }
    let last_status = status.init_container_statuses.iter().flatten().find(|s| s.name == last.name);
    last_status.is_some_and(|s| {
        if is_sidecar(last) {
            return s.started == Some(true);
        }
        let zero = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
            state.as_ref().and_then(|s| s.terminated.as_ref()).is_some_and(|t| t.exit_code == 0)
        };
        zero(&s.state) || zero(&s.last_state)
    })
}
