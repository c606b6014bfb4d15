//! Waiting for the pods of a restore and of a drill.

use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;
use crate::bootstrap::error::TimedOut;
use crate::bootstrap::pods::PodsError;
use crate::bootstrap::ports::Ports;
use crate::core::model::ContainerId;
use crate::core::model::labels::{POD_NAME, POD_NAMESPACE};
use crate::cri;

/// How long pods may take to terminate; the API server finishes its requests first.
const STOP_PATIENCE: Duration = Duration::from_secs(180);
/// How long a restore, or etcd's first start after it, may take.
pub const WORK_PATIENCE: Duration = Duration::from_secs(600);
/// Interval between two checks.
pub const PAUSE: Duration = Duration::from_millis(500);

/// Labels of a pod sandbox.
pub type Labels = std::collections::HashMap<String, String>;

/// True for a pod in the control plane's namespace.
pub fn in_kube_system(labels: &Labels) -> bool {
    labels.get(POD_NAMESPACE).is_some_and(|namespace| namespace == "kube-system")
}

/// The wait timed out.
pub fn timed_out(condition: &str, since: Instant) -> TimedOut {
    TimedOut {
        condition: condition.to_owned(),
        seconds: since.elapsed().as_secs(),
        hint: "see journalctl -u kubelet, and the containers' logs in /var/log/pods/kube-system_*".to_owned(),
    }
}

/// Waits until no such pod runs.
pub async fn until_gone(ports: &Ports, condition: &str, wanted: impl Fn(&Labels) -> bool) -> Result<(), Error> {
    let begun = Instant::now();
    let ready = cri::PodSandboxState::SandboxReady as i32;
    loop {
        let sandboxes = ports.runtime.list_sandboxes(None).await.map_err(PodsError)?;
        if !sandboxes.iter().any(|sandbox| sandbox.state == ready && wanted(&sandbox.labels)) {
            return Ok(());
        }
        if begun.elapsed() >= STOP_PATIENCE {
            return Err(timed_out(condition, begun).into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the one container of a pod has run, and returns its exit code.
pub async fn until_exited(ports: &Ports, pod: &str) -> Result<i32, Error> {
    let begun = Instant::now();
    loop {
        if let Some(ended) = exited(ports, pod).await?.pop() {
            return Ok(ended.code);
        }
        if begun.elapsed() >= WORK_PATIENCE {
            return Err(timed_out("the pod of the restore has finished", begun).into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A container that has exited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Name of the container in its pod.
    pub container: String,
    pub code: i32,
    /// Path of its log.
    pub log: String,
}

/// The containers of a pod that have exited.
pub async fn exited(ports: &Ports, pod: &str) -> Result<Vec<Ended>, PodsError> {
    let state = cri::ContainerState::ContainerExited as i32;
    let containers = ports.runtime.list_containers(None).await.map_err(PodsError)?;
    let own = containers
        .into_iter()
        .filter(|container| container.state == state && container.labels.get(POD_NAME).is_some_and(|name| name == pod));
    let mut ended = Vec::new();
    for container in own {
        let name = container.metadata.map(|metadata| metadata.name).unwrap_or_default();
        let status = ports.runtime.container_status(&ContainerId::from(container.id)).await.map_err(PodsError)?;
        ended.push(Ended { container: name, code: status.exit_code, log: status.log_path });
    }
    Ok(ended)
}
