//! One run of a probe: the check, its retries and its events (upstream `pkg/kubelet/prober/prober.go`).

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};

use super::ports::ProbePorts;
use crate::core::model::{Check, CheckOutcome, ContainerId, ContainerKind, ProbeResult, ProbeSubject};
use crate::core::probes::{DueProbe, ProbeKind, UNANSWERED_RUNS, derive_check};
use crate::ports::kubelet::{EventKind, EventTarget};
use crate::ports::node::RuntimeError;

/// How much of a command's output is put into an event, in bytes.
const MAX_OUTPUT: usize = 10 << 10;

/// Runs the probe; `None` if it could not be executed, which says nothing about the container.
pub(super) async fn run(ports: &ProbePorts, subject: &ProbeSubject, run: &DueProbe) -> Option<ProbeResult> {
    let (container, probe) = find(subject, run)?;
    let mut answer = Err(String::new());
    for _ in 0..UNANSWERED_RUNS {
        answer = ask(ports, subject, run, container, probe).await;
        if answer.is_ok() {
            break;
        }
    }
    let kind = run.kind;
    let (result, reason, message) = match answer {
        Ok(CheckOutcome::Success) => return Some(ProbeResult::Success),
        Ok(CheckOutcome::Warning(text)) => {
            (Some(ProbeResult::Success), "ProbeWarning", format!("{kind} probe warning: {text}"))
        }
        Ok(CheckOutcome::Failure(text)) => {
            (Some(ProbeResult::Failure), "Unhealthy", format!("{kind} probe failed: {text}"))
        }
        Err(text) => (None, "Unhealthy", format!("{kind} probe errored and resulted in unknown state: {text}")),
    };
    tracing::debug!(container = run.container, message, "a probe did not succeed");
    if run.loud {
        let path = field_path(subject, &run.container);
        ports.events.record(EventTarget::Container(&subject.pod, &path), EventKind::Warning, reason, message);
    }
    result
}

fn find<'a>(subject: &'a ProbeSubject, run: &DueProbe) -> Option<(&'a Container, &'a Probe)> {
    let spec = subject.pod.spec.as_ref()?;
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let container = all.into_iter().find(|c| c.name == run.container)?;
    let probe = match run.kind {
        ProbeKind::Liveness => &container.liveness_probe,
        ProbeKind::Readiness => &container.readiness_probe,
        ProbeKind::Startup => &container.startup_probe,
    };
    Some((container, probe.as_ref()?))
}

fn field_path(subject: &ProbeSubject, container: &str) -> String {
    let kind = subject.containers.iter().find(|c| c.name == container).map(|c| c.kind);
    match kind {
        Some(ContainerKind::Sidecar | ContainerKind::Init) => format!("spec.initContainers{{{container}}}"),
        _ => format!("spec.containers{{{container}}}"),
    }
}

async fn ask(
    ports: &ProbePorts,
    subject: &ProbeSubject,
    run: &DueProbe,
    container: &Container,
    probe: &Probe,
) -> Result<CheckOutcome, String> {
    let check = derive_check(probe, container, subject.pod_ips.first().map(String::as_str), ports.agent);
    let check = check.map_err(|error| error.to_string())?;
    let seconds = probe.timeout_seconds.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0).unwrap_or(1);
    let timeout = Duration::from_secs(seconds);
    let plain = |result: Result<(), crate::ports::node::CheckError>| match result {
        Ok(()) => CheckOutcome::Success,
        Err(error) => CheckOutcome::Failure(error.to_string()),
    };
    match check {
        Check::Exec(command) => exec(ports, &run.id, command, timeout).await,
        Check::Http(get) => Ok(match ports.checks.http(&get, Some(timeout)).await {
            Ok(answer) if (200..300).contains(&answer.status) => CheckOutcome::Success,
            Ok(answer) if (300..400).contains(&answer.status) => {
                CheckOutcome::Warning(format!("Probe terminated redirects, Response body: {}", answer.body))
            }
            Ok(answer) => CheckOutcome::Failure(format!("HTTP probe failed with statuscode: {}", answer.status)),
            Err(error) => CheckOutcome::Failure(error.to_string()),
        }),
        Check::Tcp { host, port } => Ok(plain(ports.checks.tcp(&host, port, timeout).await)),
        Check::Grpc { host, port, service } => Ok(plain(ports.checks.grpc(&host, port, &service, timeout).await)),
    }
}

async fn exec(
    ports: &ProbePorts,
    id: &ContainerId,
    command: Vec<String>,
    timeout: Duration,
) -> Result<CheckOutcome, String> {
    match ports.runtime.exec_sync(id, command, timeout).await {
        Ok(response) if response.exit_code == 0 => Ok(CheckOutcome::Success),
        Ok(response) => {
            let mut output = [response.stdout, response.stderr].concat();
            output.truncate(MAX_OUTPUT);
            Ok(CheckOutcome::Failure(String::from_utf8_lossy(&output).into_owned()))
        }
        Err(RuntimeError::DeadlineExceeded { .. }) => {
            Ok(CheckOutcome::Failure(format!("command timed out after {}s", timeout.as_secs())))
        }
        Err(error) => Err(error.to_string()),
    }
}
