//! Pod conditions that the kubelet owns (upstream `pkg/kubelet/status/generate.go`).

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::inputs::Inputs;
use super::lists::by_name;
use crate::core::model::is_terminal;
use crate::core::plan::{EndCause, is_sidecar, restart, restart_all_asked, sandbox_needed};

/// Conditions that only the kubelet writes; all others are preserved.
pub const KUBELET_CONDITIONS: [&str; 8] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
    "PodResizePending",
    "PodResizeInProgress",
    "AllContainersRestarting",
];

/// A condition without its times.
struct Draft {
    kind: &'static str,
    met: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

fn met(kind: &'static str) -> Draft {
    Draft { kind, met: true, reason: None, message: None }
}

fn unmet(kind: &'static str, reason: Option<&'static str>, message: Option<String>) -> Draft {
    Draft { kind, met: false, reason, message }
}

/// Sets the conditions. `wanted` is the phase derived from the facts, `reachable` is false while it may not be
/// published yet.
pub(super) fn fill(inputs: &Inputs<'_>, status: &mut PodStatus, wanted: &str, reachable: bool) {
    let api = inputs.pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let mut conditions: Vec<PodCondition> =
        api.iter().filter(|c| !KUBELET_CONDITIONS.contains(&c.type_.as_str())).cloned().collect();
    let containers_ready = containers_ready(inputs, status, wanted);
    let drafts: [Option<Draft>; 8] = [
        Some(ready_to_start(inputs)),
        Some(initialized(inputs, status, wanted)),
        Some(ready(inputs, &containers_ready, &conditions)),
        Some(containers_ready),
        Some(met("PodScheduled")),
        restarting_all(inputs, wanted),
        resize_pending(inputs, wanted),
        resize_in_progress(inputs, wanted),
    ];
    for draft in drafts.into_iter().flatten() {
        let condition = finish(inputs, draft);
        conditions.push(condition);
    }
    if let Some(condition) = disruption(inputs).filter(|_| reachable) {
        conditions.retain(|c| c.type_ != condition.type_);
        conditions.push(condition);
    }
    status.conditions = Some(conditions);
}

fn finish(inputs: &Inputs<'_>, draft: Draft) -> PodCondition {
    let status = if draft.met { "True" } else { "False" };
    let before = inputs.previous.conditions.iter().flatten().find(|c| c.type_ == draft.kind);
    let unchanged = before.filter(|c| c.status == status).and_then(|c| c.last_transition_time.clone());
    PodCondition {
        type_: draft.kind.into(),
        status: status.into(),
        reason: draft.reason.map(Into::into),
        message: draft.message,
        last_transition_time: unchanged.or(Some(Time(inputs.now))),
        observed_generation: inputs.pod.metadata.generation.max(before.and_then(|c| c.observed_generation)),
        last_probe_time: None,
    }
}

/// True if there is a sandbox with its network, and the volumes, without which no container can start.
fn ready_to_start(inputs: &Inputs<'_>) -> Draft {
    let volumes = inputs.ledger.volumes_ready || !inputs.observed.containers.is_empty();
    if sandbox_needed(inputs.pod, inputs.observed).is_none() && volumes {
        met("PodReadyToStartContainers")
    } else {
        unmet("PodReadyToStartContainers", None, None)
    }
}

fn initialized(inputs: &Inputs<'_>, status: &PodStatus, wanted: &str) -> Draft {
    const KIND: &str = "Initialized";
    let Some(spec) = &inputs.pod.spec else { return met(KIND) };
    let mut unknown = Vec::new();
    let mut incomplete = Vec::new();
    for container in spec.init_containers.iter().flatten() {
        match by_name(status.init_container_statuses.as_deref(), &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(s) => {
                let done = if is_sidecar(container) { s.started == Some(true) } else { s.ready };
                if !done {
                    incomplete.push(container.name.as_str());
                }
            }
        }
    }
    if wanted == "Succeeded" && unknown.is_empty() {
        return Draft { reason: Some("PodCompleted"), ..met(KIND) };
    }
    let began = |s: &ContainerStatus| s.state.as_ref().is_some_and(|s| s.running.is_some() || s.terminated.is_some());
    let regular_began = status.container_statuses.iter().flatten().any(began);
    if regular_began || (unknown.is_empty() && incomplete.is_empty()) {
        return met(KIND);
    }
    let before = inputs.previous.conditions.iter().flatten().find(|c| c.type_ == KIND);
    if before.is_some_and(|c| c.status == "True") {
        // Once initialized, a pod remains so, even while all its containers are restarted.
        return met(KIND);
    }
    unmet(KIND, Some("ContainersNotInitialized"), Some(lists(&unknown, "incomplete", &incomplete)))
}

fn containers_ready(inputs: &Inputs<'_>, status: &PodStatus, wanted: &str) -> Draft {
    const KIND: &str = "ContainersReady";
    let Some(spec) = &inputs.pod.spec else { return met(KIND) };
    let mut unknown = Vec::new();
    let mut unready = Vec::new();
    let sidecars = spec.init_containers.iter().flatten().filter(|c| is_sidecar(c));
    let sidecars = sidecars.map(|c| (c, status.init_container_statuses.as_deref()));
    let regular = spec.containers.iter().map(|c| (c, status.container_statuses.as_deref()));
    for (container, list) in sidecars.chain(regular) {
        match by_name(list, &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(s) if !s.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    if wanted == "Succeeded" && unknown.is_empty() {
        return unmet(KIND, Some("PodCompleted"), None);
    }
    if wanted == "Failed" {
        return unmet(KIND, Some("PodFailed"), None);
    }
    if unknown.is_empty() && unready.is_empty() {
        return met(KIND);
    }
    unmet(KIND, Some("ContainersNotReady"), Some(lists(&unknown, "unready", &unready)))
}

fn ready(inputs: &Inputs<'_>, containers_ready: &Draft, others: &[PodCondition]) -> Draft {
    const KIND: &str = "Ready";
    if !containers_ready.met {
        return unmet(KIND, containers_ready.reason, containers_ready.message.clone());
    }
    let gates = inputs.pod.spec.iter().flat_map(|s| s.readiness_gates.iter().flatten());
    let missing: Vec<String> = gates
        .filter_map(|gate| {
            let kind = &gate.condition_type;
            match others.iter().find(|c| &c.type_ == kind) {
                None => Some(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.")),
                Some(c) if c.status != "True" => {
                    Some(format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {}", c.status))
                }
                Some(_) => None,
            }
        })
        .collect();
    if missing.is_empty() { met(KIND) } else { unmet(KIND, Some("ReadinessGatesNotReady"), Some(missing.join(", "))) }
}

fn restarting_all(inputs: &Inputs<'_>, wanted: &str) -> Option<Draft> {
    const KIND: &str = "AllContainersRestarting";
    let spec = inputs.pod.spec.as_ref().filter(|spec| restart::may_restart_all(spec))?;
    match wanted {
        "Succeeded" => return Some(unmet(KIND, Some("PodCompleted"), None)),
        "Failed" => return Some(unmet(KIND, Some("PodFailed"), None)),
        _ => {}
    }
    let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
    let cleaned = all.all(|c| inputs.observed.container(&c.name).is_none());
    if !is_restarting_all(inputs) || cleaned {
        return Some(unmet(KIND, None, None));
    }
    Some(Draft {
        reason: Some("RestartAllContainersStarted"),
        message: Some("container exited with restart policy rule".into()),
        ..met(KIND)
    })
}

/// True if all containers are being restarted: requested now, or begun before.
pub(super) fn is_restarting_all(inputs: &Inputs<'_>) -> bool {
    let mut before = inputs.previous.conditions.iter().flatten();
    restart_all_asked(inputs.pod, inputs.observed)
        || before.any(|c| c.type_ == "AllContainersRestarting" && c.status == "True")
}

/// The wanted resources do not fit now.
fn resize_pending(inputs: &Inputs<'_>, wanted: &str) -> Option<Draft> {
    let pending = inputs.ledger.resize.pending.as_ref().filter(|_| !is_terminal(Some(wanted)))?;
    Some(Draft {
        reason: Some(pending.reason()),
        message: Some(pending.message().to_owned()),
        ..met("PodResizePending")
    })
}

/// The allocated resources are not in force yet.
fn resize_in_progress(inputs: &Inputs<'_>, wanted: &str) -> Option<Draft> {
    let resize = Some(&inputs.ledger.resize).filter(|r| r.in_progress && !is_terminal(Some(wanted)))?;
    let reason = resize.error.is_some().then_some("Error");
    Some(Draft { reason, message: resize.error.clone(), ..met("PodResizeInProgress") })
}

/// `DisruptionTarget` of a pod that the node terminated.
fn disruption(inputs: &Inputs<'_>) -> Option<PodCondition> {
    let EndCause::Killed(kill) = &inputs.ledger.end.as_ref()?.cause else { return None };
    let message = kill.disruption.clone()?;
    let draft = Draft { reason: Some("TerminationByKubelet"), message: Some(message), ..met("DisruptionTarget") };
    Some(finish(inputs, draft))
}

/// Lists of names in Go's format, as upstream prints them.
fn lists(unknown: &[&str], what: &str, names: &[&str]) -> String {
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!("containers with unknown status: [{}]", unknown.join(" ")));
    }
    if !names.is_empty() {
        parts.push(format!("containers with {what} status: [{}]", names.join(" ")));
    }
    parts.join(", ")
}
