//! From pod, observation, ledger, probes and previous status to the status to publish (docs/contract.md, kubelet 2.9).

mod claim_growth;
mod conditions;
mod containers;
mod finish;
mod inputs;
mod ips;
mod lists;
mod patch;
mod pod_phase;
mod recalled;
mod resources;
mod terminations;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::lists::some;
use crate::core::model::{Rejection, is_terminal, qos_class};
use crate::core::plan::EndCause;

pub use claim_growth::{Growth, GrowthStep, growth_wanted, render_growth_patch};
pub use conditions::KUBELET_CONDITIONS;
pub use inputs::Inputs;
pub use ips::sort_pod_ips;
pub use patch::{is_urgent, render_mirror_patch, render_status_patch};
pub use recalled::without_ended_init;
pub use terminations::{Termination, terminations};

/// A status, and whether the pod has finished by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// The status to publish.
    pub status: PodStatus,
    /// True if the containers' states amount to a terminal phase (even if it may not be published yet).
    pub terminal: bool,
}

/// Derives the pod's status.
pub fn derive(inputs: &Inputs<'_>) -> Derived {
    let Inputs { pod, previous, now, .. } = *inputs;
    let api = pod.status.as_ref();
    if let Some(rejection) = inputs.rejection {
        return Derived { status: rejected(inputs, rejection), terminal: true };
    }
    let mut status = PodStatus {
        start_time: previous.start_time.clone().or(Some(Time(now))),
        qos_class: Some(qos_class(pod).as_str().to_owned()),
        observed_generation: observed_generation(pod, previous),
        nominated_node_name: api.and_then(|s| s.nominated_node_name.clone()),
        resource_claim_statuses: api.and_then(|s| s.resource_claim_statuses.clone()),
        extended_resource_claim_status: api.and_then(|s| s.extended_resource_claim_status.clone()),
        ..PodStatus::default()
    };
    let init = containers::derive(inputs, true, previous.init_container_statuses.as_deref());
    let regular = containers::derive(inputs, false, previous.container_statuses.as_deref());
    let ephemeral = containers::derive_ephemeral(inputs);
    status.init_container_statuses = some(init);
    status.container_statuses = some(regular);
    status.ephemeral_container_statuses = some(ephemeral);
    resources::fill_pod_level(inputs, &mut status);

    let wanted = wanted_phase(inputs, &mut status);
    let terminal = is_terminal(Some(&wanted));
    let reachable = !terminal || inputs.stage.has_ended() || is_terminal(previous.phase.as_deref());
    if inputs.stage.has_ended() {
        finish::finish_containers(inputs, &mut status);
    }
    // A terminal phase is published only when no container can run any more.
    let published = if reachable { wanted.clone() } else { previous.phase.clone().unwrap_or_else(|| "Pending".into()) };
    if !reachable {
        status.reason.clone_from(&previous.reason);
        status.message.clone_from(&previous.message);
    }
    status.phase = Some(published);
    ips::fill(inputs, &mut status);
    conditions::fill(inputs, &mut status, &wanted, reachable);
    Derived { status, terminal }
}

/// The phase derived from the facts, with reason and message.
fn wanted_phase(inputs: &Inputs<'_>, status: &mut PodStatus) -> String {
    let Inputs { pod, previous, .. } = *inputs;
    let api = pod.status.as_ref();
    let mut pod_phase = pod_phase::derive(inputs, status).to_owned();
    let earlier = [previous.phase.as_deref(), api.and_then(|s| s.phase.as_deref())];
    if let Some(terminal) = earlier.into_iter().flatten().find(|p| is_terminal(Some(p))) {
        // Terminal phases, reported by the API server or this kubelet, are final.
        pod_phase = terminal.to_owned();
    }
    if previous.phase.as_deref() == Some(&pod_phase) {
        status.reason = previous.reason.clone().or_else(|| api.and_then(|s| s.reason.clone()));
        status.message = previous.message.clone().or_else(|| api.and_then(|s| s.message.clone()));
    }
    match inputs.ledger.end.as_ref().map(|end| &end.cause) {
        // The containers' results take precedence: a pod whose containers all exit with 0 has succeeded, with its
        // condition DisruptionTarget (upstream `generateAPIPodStatus`, for evictions and shutdowns alike).
        Some(EndCause::Killed(_)) if inputs.stage.has_ended() && pod_phase == "Succeeded" => pod_phase,
        Some(EndCause::Killed(kill)) => {
            status.reason = Some(kill.reason.clone());
            status.message = Some(kill.message.clone());
            "Failed".into()
        }
        Some(EndCause::DeadlineExceeded) => {
            status.reason = Some("DeadlineExceeded".into());
            status.message = Some("Pod was active on the node longer than the specified deadline".into());
            "Failed".into()
        }
        Some(EndCause::Deleted | EndCause::Removed | EndCause::Completed) | None => {
            let over = inputs.stage.has_ended();
            // Upstream does not set a terminal phase for static pods (its issue 116484).
            if over && !inputs.is_static && !is_terminal(Some(&pod_phase)) { "Failed".into() } else { pod_phase }
        }
    }
}

/// Status of a pod that admission rejected: it never had containers here.
fn rejected(inputs: &Inputs<'_>, rejection: &Rejection) -> PodStatus {
    PodStatus {
        phase: Some("Failed".into()),
        reason: Some(rejection.reason.clone()),
        message: Some(format!("Pod was rejected: {}", rejection.message)),
        start_time: inputs.previous.start_time.clone().or(Some(Time(inputs.now))),
        qos_class: Some(qos_class(inputs.pod).as_str().to_owned()),
        observed_generation: observed_generation(inputs.pod, inputs.previous),
        conditions: inputs.previous.conditions.clone(),
        ..PodStatus::default()
    }
}

/// `status.observedGeneration`, which never decreases.
fn observed_generation(pod: &Pod, previous: &PodStatus) -> Option<i64> {
    pod.metadata.generation.max(previous.observed_generation)
}
