//! Health of a manifest's pod: it runs what the manifest says, keeps running, and passes its probe.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::bootstrap::pods::PodsError;
use crate::bootstrap::ports::Ports;
use crate::core::manifest::parse_manifest;
use crate::core::model::labels::{POD_UID, RESTART_COUNT};
use crate::core::model::{ContainerId, HttpGet, uid_of, with_causes};
use crate::cri;

/// How long a container has to run before its answer counts: some exit just after they became ready.
pub(super) const STEADY: Duration = Duration::from_secs(3);
/// Timeout of one probe.
const ANSWER: Duration = Duration::from_secs(5);

/// One observation of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ComponentHealth {
    /// Uid of the pod with exactly this manifest.
    pub uid: String,
    /// True if it runs and answers.
    pub healthy: bool,
    /// What is wrong, for people.
    pub reason: String,
    /// How often its container was restarted.
    pub restarts: u32,
    /// True if its container is not running now.
    pub exited: bool,
}

/// Looks at the pod of a manifest.
pub(super) async fn observe_health(
    ports: &Ports,
    path: &Path,
    text: &str,
    node: &str,
) -> Result<ComponentHealth, PodsError> {
    let mut health =
        ComponentHealth { uid: String::new(), healthy: false, reason: String::new(), restarts: 0, exited: false };
    let pod = match parse_manifest(path, text.as_bytes(), node) {
        Ok(pod) => pod,
        Err(findings) => {
            health.reason = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            return Ok(health);
        }
    };
    health.uid = uid_of(&pod).to_string();
    let Some(container) = newest_container(ports, &health.uid).await? else {
        health.reason = "the kubelet has not started it yet (journalctl -u kubelet)".to_owned();
        return Ok(health);
    };
    let restarts = container.annotations.get(RESTART_COUNT).and_then(|count| count.parse().ok());
    health.restarts = restarts.unwrap_or_default();
    let id = ContainerId::from(container.id);
    let status = ports.runtime.container_status(&id).await.map_err(PodsError)?;
    if status.state != cri::ContainerState::ContainerRunning as i32 {
        health.exited = status.state == cri::ContainerState::ContainerExited as i32;
        let what = if status.message.is_empty() { status.reason } else { status.message };
        health.reason = format!("its container exited with code {} ({what})", status.exit_code);
        return Ok(health);
    }
    let age = (ports.now)().as_nanosecond().saturating_sub(status.started_at.into());
    if u128::try_from(age).unwrap_or(0) < STEADY.as_nanos() {
        health.reason = "it has only just started".to_owned();
        return Ok(health);
    }
    ask(ports, &pod, &mut health).await;
    Ok(health)
}

/// Sends the pod's probe.
pub(super) async fn ask(ports: &Ports, pod: &Pod, health: &mut ComponentHealth) {
    match probe_of(pod) {
        None => health.healthy = true,
        Some(get) => match ports.checks.http(&get, Some(ANSWER)).await {
            Ok(answer) if (200..400).contains(&answer.status) => health.healthy = true,
            Ok(answer) => health.reason = format!("{} answers {}", get.url(), answer.status),
            Err(error) => health.reason = with_causes(&error),
        },
    }
}

/// The newest container of the pod with that uid, in a sandbox that lives.
pub(super) async fn newest_container(ports: &Ports, uid: &str) -> Result<Option<cri::Container>, PodsError> {
    let sandboxes = ports.runtime.list_sandboxes(None).await.map_err(PodsError)?;
    let ready = cri::PodSandboxState::SandboxReady as i32;
    let own = |sandbox: &&cri::PodSandbox| {
        sandbox.state == ready && sandbox.labels.get(POD_UID).is_some_and(|label| label == uid)
    };
    let own: Vec<&str> = sandboxes.iter().filter(own).map(|sandbox| sandbox.id.as_str()).collect();
    let containers = ports.runtime.list_containers(None).await.map_err(PodsError)?;
    let mine = containers.into_iter().filter(|container| own.contains(&container.pod_sandbox_id.as_str()));
    Ok(mine.max_by_key(|container| container.created_at))
}

/// The probe that the kubelet uses too: readiness, else startup.
fn probe_of(pod: &Pod) -> Option<HttpGet> {
    let container = pod.spec.as_ref()?.containers.first()?;
    let probes = [&container.readiness_probe, &container.startup_probe, &container.liveness_probe];
    let get = probes.into_iter().find_map(|probe| probe.as_ref()?.http_get.as_ref())?;
    Some(HttpGet {
        tls: get.scheme.as_deref() == Some("HTTPS"),
        host: get.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
        port: port_of(container, &get.port)?,
        target: get.path.clone().unwrap_or_else(|| "/".to_owned()),
        headers: Vec::new(),
        host_header: None,
    })
}

fn port_of(container: &Container, port: &IntOrString) -> Option<u16> {
    match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            ports
                .find(|port| port.name.as_deref() == Some(name))
                .and_then(|port| u16::try_from(port.container_port).ok())
        }
    }
}
