//! Container statuses (upstream `convertToAPIContainerStatuses` and the prober's `UpdatePodStatus`).

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    ContainerUser, LinuxContainerUser, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::inputs::Inputs;
use super::lists::by_name;
use super::pod_phase::RESTARTING_ALL;
use super::{conditions, resources};
use crate::core::model::{ContainerKind, ObservedContainer, ProbeResult, RunState, containers_of};
use crate::core::plan::{is_sidecar, restart};

/// Reason of a container whose record was lost.
pub(super) const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";
/// Exit code reported for such a container.
pub(super) const UNKNOWN_EXIT_CODE: i32 = 137;

/// Statuses of init containers (in spec order) or regular ones (by name).
pub(super) fn derive(inputs: &Inputs<'_>, init: bool, previous: Option<&[ContainerStatus]>) -> Vec<ContainerStatus> {
    let Some(spec) = &inputs.pod.spec else { return Vec::new() };
    let containers: &[Container] =
        if init { spec.init_containers.as_deref().unwrap_or_default() } else { &spec.containers };
    let mut statuses: Vec<_> = containers.iter().map(|c| status(inputs, c, init, by_name(previous, &c.name))).collect();
    if !init {
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
    }
    statuses
}

/// Statuses of ephemeral containers by name.
pub(super) fn derive_ephemeral(inputs: &Inputs<'_>) -> Vec<ContainerStatus> {
    let previous = inputs.previous.ephemeral_container_statuses.as_deref();
    let mut statuses: Vec<_> = containers_of(inputs.pod)
        .into_iter()
        .filter(|(kind, _)| *kind == ContainerKind::Ephemeral)
        .map(|(_, c)| {
            let mut status = status(inputs, &c, false, by_name(previous, &c.name));
            status.started = None;
            status.ready = false;
            status
        })
        .collect();
    statuses.sort_by(|a, b| a.name.cmp(&b.name));
    statuses
}

fn status(inputs: &Inputs<'_>, container: &Container, init: bool, old: Option<&ContainerStatus>) -> ContainerStatus {
    let mut records = inputs.observed.containers.iter().filter(|r| r.name == container.name);
    let mut status = match records.next() {
        Some(record) => {
            let mut status = from_record(container, record, old);
            if let Some(before) = records.find(|r| r.state == RunState::Exited) {
                status.last_state = Some(state_of(before));
            }
            status
        }
        None => without_record(inputs, container, old),
    };
    status.volume_mounts = volume_mounts(container, inputs.recursive_read_only);
    add_waiting(inputs, container, init, &mut status);
    add_probes(inputs, container, init, old, &mut status);
    status
}

/// Status of a container that has a record in the runtime.
fn from_record(container: &Container, record: &ObservedContainer, old: Option<&ContainerStatus>) -> ContainerStatus {
    let id = format!("containerd://{}", record.id);
    let mut status = ContainerStatus {
        name: container.name.clone(),
        image: record.image.clone(),
        image_id: record.image_ref.clone(),
        restart_count: i32::try_from(record.attempt).unwrap_or(i32::MAX),
        state: Some(state_of(record)),
        ..ContainerStatus::default()
    };
    if let Some(old) = old {
        status.restart_count = status.restart_count.max(old.restart_count);
        let ended = old.state.as_ref().and_then(|s| s.terminated.clone());
        let last = old.last_state.as_ref().and_then(|s| s.terminated.clone());
        // Records may have been removed since; what was reported of them is kept.
        let last = if old.container_id.as_ref() == Some(&id) { last } else { ended.or(last) };
        status.last_state = last.map(|t| ContainerState { terminated: Some(t), ..ContainerState::default() });
    }
    if record.state == RunState::Unknown && old.is_some_and(|o| o.state.as_ref().is_some_and(|s| s.running.is_some())) {
        let message = "The container could not be located when the pod was terminated";
        status.state = Some(unknown_end(message));
    }
    status.container_id = Some(id);
    status.allocated_resources = container.resources.as_ref().and_then(|r| r.requests.clone());
    status.resources = resources::in_force(container, record);
    status.user = record.user.as_ref().map(|user| ContainerUser {
        linux: Some(LinuxContainerUser {
            uid: user.uid,
            gid: user.gid,
            supplemental_groups: (!user.supplemental_groups.is_empty()).then(|| user.supplemental_groups.clone()),
        }),
    });
    status
}

fn state_of(record: &ObservedContainer) -> ContainerState {
    let mut state = ContainerState::default();
    match record.state {
        RunState::Running => {
            state.running = Some(ContainerStateRunning { started_at: record.started_at.map(Time) });
        }
        RunState::Exited => {
            let reason = match (record.reason.as_str(), record.exit_code) {
                ("", 0) => "Completed",
                ("", _) => "Error",
                (reason, _) => reason,
            };
            state.terminated = Some(ContainerStateTerminated {
                container_id: Some(format!("containerd://{}", record.id)),
                exit_code: record.exit_code,
                // Both times are always set: a container that never started has its creation time.
                started_at: Some(Time(record.started_at.unwrap_or(record.created_at))),
                finished_at: Some(Time(record.finished_at.unwrap_or(record.created_at))),
                message: (!record.message.is_empty()).then(|| record.message.clone()),
                reason: Some(reason.to_owned()),
                signal: None,
            });
        }
        RunState::Created | RunState::Unknown => state.waiting = Some(ContainerStateWaiting::default()),
    }
    state
}

/// Status of a container without a record in the runtime.
fn without_record(inputs: &Inputs<'_>, container: &Container, old: Option<&ContainerStatus>) -> ContainerStatus {
    let has_init = inputs.pod.spec.as_ref().is_some_and(|s| s.init_containers.as_ref().is_some_and(|i| !i.is_empty()));
    let reason = if has_init { "PodInitializing" } else { "ContainerCreating" };
    let mut status = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        state: Some(waiting(reason, None)),
        ..ContainerStatus::default()
    };
    let Some(old) = old else { return status };
    let state = old.state.clone().unwrap_or_default();
    if state.waiting.is_none() && conditions::is_restarting_all(inputs) {
        let message = "The container is removed because RestartAllContainers in place";
        status.state = Some(waiting(RESTARTING_ALL, Some(message)));
        let mut ended = unknown_end(message);
        if let Some(terminated) = ended.terminated.as_mut() {
            terminated.reason = Some(RESTARTING_ALL.into());
        }
        status.last_state = Some(ended);
        status.restart_count = old.restart_count.saturating_add(1);
        return status;
    }
    if state.terminated.is_some() {
        return ContainerStatus { started: None, ready: false, ..old.clone() };
    }
    status.restart_count = old.restart_count;
    status.last_state.clone_from(&old.last_state);
    let last_known = status.last_state.as_ref().is_some_and(|s| s.terminated.is_some());
    if state.running.is_some() && !last_known {
        // It ran, and its exit code is unknown; reported as terminated, so that the pod does not look new.
        let message = "The container could not be located when the pod was deleted.  The container used to be Running";
        status.last_state = Some(unknown_end(message));
        if inputs.pod.metadata.deletion_timestamp.is_none() {
            status.restart_count = status.restart_count.saturating_add(1);
        }
    }
    status
}

/// Adds start errors, and init containers whose records were removed.
fn add_waiting(inputs: &Inputs<'_>, container: &Container, init: bool, status: &mut ContainerStatus) {
    let record = inputs.observed.container(&container.name);
    if init {
        if record.is_some_and(|r| r.state == RunState::Exited && r.exit_code == 0) && !is_sidecar(container) {
            return;
        }
        let waits = status.state.as_ref().is_some_and(|s| s.waiting.is_some());
        let spec = inputs.pod.spec.as_ref();
        let any_regular =
            spec.is_some_and(|s| s.containers.iter().any(|c| inputs.observed.container(&c.name).is_some()));
        if record.is_none() && any_regular && !is_sidecar(container) && waits {
            status.state = Some(ContainerState {
                terminated: Some(ContainerStateTerminated {
                    reason: Some("Completed".into()),
                    message: Some(
                        "Unable to get init container status from container runtime and pod has been initialized, \
                         treat it as exited normally"
                            .into(),
                    ),
                    ..ContainerStateTerminated::default()
                }),
                ..ContainerState::default()
            });
            return;
        }
    }
    if inputs.stage.ends() || !restart::should_start(container, inputs.pod, inputs.observed) {
        return;
    }
    let Some(error) = inputs.ledger.waiting.get(&container.name) else { return };
    if let Some(state) = status.state.take().filter(|s| s.terminated.is_some()) {
        status.last_state = Some(state);
    }
    status.state = Some(waiting(&error.reason, Some(&error.message)));
}

/// Sets `started` and `ready`.
fn add_probes(
    inputs: &Inputs<'_>,
    container: &Container,
    init: bool,
    old: Option<&ContainerStatus>,
    status: &mut ContainerStatus,
) {
    let state = status.state.clone().unwrap_or_default();
    if init && !is_sidecar(container) {
        status.started = Some(state.running.is_some());
        status.ready = state.terminated.is_some_and(|t| t.exit_code == 0);
        return;
    }
    let record = inputs.observed.container(&container.name).filter(|r| r.state == RunState::Running);
    let (Some(record), Some(_)) = (record, &state.running) else {
        status.started = Some(false);
        status.ready = false;
        return;
    };
    let results = inputs.probes.get(&record.id).copied().unwrap_or_default();
    // A container that is older than this kubelet process keeps its reported values until its probes have results.
    let older = record.started_at.is_some_and(|at| at < inputs.kubelet_started);
    let known = old.filter(|o| older && o.container_id == status.container_id);
    let started = match (&container.startup_probe, results.startup) {
        (None, _) | (Some(_), Some(ProbeResult::Success)) => true,
        (Some(_), Some(ProbeResult::Failure)) => false,
        (Some(_), None) => known.and_then(|o| o.started).unwrap_or(false),
    };
    let ready = match (&container.readiness_probe, results.readiness) {
        (None, _) | (Some(_), Some(ProbeResult::Success)) => true,
        (Some(_), Some(ProbeResult::Failure)) => false,
        (Some(_), None) => known.is_some_and(|o| o.ready),
    };
    status.started = Some(started);
    status.ready = started && ready;
}

fn volume_mounts(container: &Container, supported: bool) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref().filter(|m| !m.is_empty())?;
    let one = |m: &k8s_openapi::api::core::v1::VolumeMount| {
        let read_only = m.read_only.unwrap_or_default();
        let recursive = match m.recursive_read_only.as_deref() {
            Some("Enabled") => true,
            Some("IfPossible") => supported,
            _ => false,
        };
        VolumeMountStatus {
            name: m.name.clone(),
            mount_path: m.mount_path.clone(),
            read_only: m.read_only.filter(|ro| *ro),
            recursive_read_only: read_only.then(|| if recursive { "Enabled" } else { "Disabled" }.to_owned()),
            ..VolumeMountStatus::default()
        }
    };
    Some(mounts.iter().map(one).collect())
}

fn waiting(reason: &str, message: Option<&str>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.into()), message: message.map(Into::into) };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

/// The state of a container whose record was lost.
pub(super) fn unknown_end(message: &str) -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: UNKNOWN_EXIT_CODE,
            reason: Some(STATUS_UNKNOWN.into()),
            message: Some(message.into()),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}
