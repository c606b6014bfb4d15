//! Reads a pod's state from the runtime. Only what may have changed is read again.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{join_all, try_join};
use jiff::Timestamp;

use crate::core::logs::parse_line;
use crate::core::model::{
    ContainerId, Observed, ObservedContainer, ObservedSandbox, PodUid, RunState, SandboxId, labels,
};
use crate::core::start_limit::is_failed_freeze;
use crate::cri;
use crate::ports::kubelet::PodFiles;
use crate::ports::node::{RuntimeError, RuntimeQueries};

/// Longest termination message (upstream `MaxContainerTerminationMessageLength`), and that of all containers together.
const MESSAGE_MAX: usize = 4096;
const MESSAGE_MAX_POD: usize = 12 * 1024;
/// Lines of a log that are shown instead of a message, and how much of the file is read for them.
const LOG_LINES: usize = 80;
const LOG_BYTES: usize = 2048;
const LOG_READ: u64 = 16 * 1024;
/// Delays in milliseconds while the runtime's status lags behind its own exit event.
const LAG: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 400, 800];

/// What to observe, and what is known already.
pub struct PodQuery<'a> {
    pub runtime: &'a dyn RuntimeQueries,
    pub files: &'a dyn PodFiles,
    pub uid: &'a PodUid,
    pub before: &'a Observed,
    /// Containers and sandboxes that have exited according to an event.
    pub exited: &'a BTreeSet<ContainerId>,
    /// Read everything again, even what seems unchanged.
    pub fresh: bool,
    /// The pod is terminating: report exit states unchanged, also of cancelled starts.
    pub ending: bool,
    /// Number of containers in the spec, which limits the size of termination messages.
    pub containers: usize,
}

pub async fn observe_pod(look: &PodQuery<'_>) -> Result<Observed, RuntimeError> {
    let uid = Some(look.uid);
    let (sandboxes, containers) = try_join(look.runtime.list_sandboxes(uid), look.runtime.list_containers(uid)).await?;
    let (sandboxes, containers) = futures::future::join(
        join_all(sandboxes.into_iter().map(|s| sandbox(look, s))),
        join_all(containers.into_iter().map(|c| container(look, c))),
    )
    .await;
    let mut observed = Observed {
        sandboxes: sandboxes.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?,
        containers: containers.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?,
    };
    observed.sort();
    Ok(observed)
}

/// What disappeared between list and status is skipped.
fn gone_is_none<T>(result: Result<T, RuntimeError>) -> Result<Option<T>, RuntimeError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(RuntimeError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn sandbox(look: &PodQuery<'_>, listed: cri::PodSandbox) -> Result<Option<ObservedSandbox>, RuntimeError> {
    let id = SandboxId::from(&listed.id);
    let mut ready = listed.state() == cri::PodSandboxState::SandboxReady;
    let known = look.before.sandboxes.iter().find(|s| s.id == id);
    let ended = look.exited.contains(&ContainerId::from(&listed.id));
    if let Some(known) = known.filter(|k| !look.fresh && !ended && (k.ready == ready || !ready)) {
        return Ok(Some(ObservedSandbox { ready, ..known.clone() }));
    }
    let mut status = look.runtime.sandbox_status(&id).await;
    for pause in LAG {
        let still = status.as_ref().is_ok_and(|s| s.state() == cri::PodSandboxState::SandboxReady);
        if !(ended && still) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        status = look.runtime.sandbox_status(&id).await;
    }
    let Some(status) = gone_is_none(status)? else { return Ok(None) };
    ready = status.state() == cri::PodSandboxState::SandboxReady;
    let options = status.linux.and_then(|l| l.namespaces).and_then(|n| n.options).unwrap_or_default();
    let network = status.network.unwrap_or_default();
    let ips = std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|ip| ip.ip));
    Ok(Some(ObservedSandbox {
        id,
        attempt: status.metadata.unwrap_or_default().attempt,
        ready,
        created_at: time(status.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
        host_network: options.network() == cri::NamespaceMode::Node,
        ips: ips.filter(|ip| !ip.is_empty()).collect(),
    }))
}

async fn container(look: &PodQuery<'_>, listed: cri::Container) -> Result<Option<ObservedContainer>, RuntimeError> {
    let id = ContainerId::from(&listed.id);
    let state = run_state(listed.state());
    let ended = look.exited.contains(&id);
    let known = look.before.by_id(&id).filter(|k| k.state == state);
    if let Some(known) = known.filter(|_| !ended || state == RunState::Exited).filter(|_| !look.fresh) {
        return Ok(Some(known.clone()));
    }
    let mut status = look.runtime.container_status(&id).await;
    for pause in LAG {
        let running = status.as_ref().is_ok_and(|s| run_state(s.state()) == RunState::Running);
        if !(ended && running) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        status = look.runtime.container_status(&id).await;
    }
    let Some(status) = gone_is_none(status)? else { return Ok(None) };
    let mut seen = convert(id, SandboxId::from(&listed.pod_sandbox_id), &status);
    if !look.ending && never_ran(&seen) {
        seen.state = RunState::Created;
    }
    if seen.state == RunState::Exited {
        seen.message = end_message(look, &seen, &status).await;
    }
    Ok(Some(seen))
}

pub(crate) fn convert(id: ContainerId, sandbox: SandboxId, status: &cri::ContainerStatus) -> ObservedContainer {
    let meta = status.metadata.clone().unwrap_or_default();
    let note = |name: &str| status.annotations.get(name).map(String::as_str);
    let image = status.image.clone().unwrap_or_default();
    ObservedContainer {
        id,
        sandbox,
        attempt: note(labels::RESTART_COUNT).and_then(|n| n.parse().ok()).unwrap_or(meta.attempt),
        name: status.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or(meta.name),
        state: run_state(status.state()),
        created_at: time(status.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
        started_at: time(status.started_at),
        finished_at: time(status.finished_at),
        exit_code: status.exit_code,
        reason: status.reason.clone(),
        message: status.message.clone(),
        image: if image.user_specified_image.is_empty() { image.image } else { image.user_specified_image },
        image_ref: status.image_ref.clone(),
        hash: note(labels::CONTAINER_HASH).unwrap_or_default().to_owned(),
        log_path: status.log_path.clone(),
        resources: status.resources.as_ref().and_then(|r| r.linux.clone()),
        user: status.user.as_ref().and_then(|u| u.linux.clone()),
        annotations: status.annotations.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
    }
}

/// True for a start that was aborted because the kubelet was killed, or because the runtime was overloaded: it is not a
/// run of the container, and is not counted as one.
fn never_ran(seen: &ObservedContainer) -> bool {
    const START_ERROR: i32 = 128;
    let broken_off = seen.message.contains("context canceled") || is_failed_freeze(&seen.message);
    seen.state == RunState::Exited && seen.exit_code == START_ERROR && broken_off
}

/// The runtime's message, then the container's own (upstream `getTerminationMessage`).
async fn end_message(look: &PodQuery<'_>, seen: &ObservedContainer, status: &cri::ContainerStatus) -> String {
    let limit = MESSAGE_MAX_POD.checked_div(look.containers).unwrap_or(MESSAGE_MAX).min(MESSAGE_MAX);
    let path = seen.annotations.get(labels::TERMINATION_MESSAGE_PATH);
    let mount = path.and_then(|path| status.mounts.iter().find(|m| &m.container_path == path));
    let mut own = String::new();
    if let Some(mount) = mount {
        own = look
            .files
            .read_termination_file(&mount.host_path, limit)
            .await
            .unwrap_or_else(|error| format!("Error on reading termination log {}: {error}", mount.host_path));
    }
    let policy = seen.annotations.get(labels::TERMINATION_MESSAGE_POLICY).map(String::as_str);
    if own.is_empty() && seen.exit_code != 0 && policy == Some("FallbackToLogsOnError") {
        let raw = look.files.read_log_tail(&seen.log_path, LOG_READ).await.unwrap_or_default();
        own = log_tail(&raw);
    }
    match (status.message.is_empty(), own.is_empty()) {
        (false, false) => format!("{}: {own}", status.message),
        (false, true) => status.message.clone(),
        (true, _) => own,
    }
}

/// The last lines that the container wrote, without the log's own columns.
pub(crate) fn log_tail(raw: &[u8]) -> String {
    let lines: Vec<_> = raw.split(|b| *b == b'\n').filter_map(|line| parse_line(line).ok()).collect();
    let mut text = Vec::new();
    for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
        text.extend_from_slice(line.text);
        if !line.partial {
            text.push(b'\n');
        }
    }
    let last = text.get(text.len().saturating_sub(LOG_BYTES)..);
    String::from_utf8_lossy(last.unwrap_or_default()).into_owned()
}

fn run_state(state: cri::ContainerState) -> RunState {
    match state {
        cri::ContainerState::ContainerCreated => RunState::Created,
        cri::ContainerState::ContainerRunning => RunState::Running,
        cri::ContainerState::ContainerExited => RunState::Exited,
        cri::ContainerState::ContainerUnknown => RunState::Unknown,
    }
}

fn time(nanoseconds: i64) -> Option<Timestamp> {
    (nanoseconds > 0).then(|| Timestamp::from_nanosecond(i128::from(nanoseconds)).ok()).flatten()
}
