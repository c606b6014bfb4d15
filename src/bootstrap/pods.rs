//! Finds, stops and removes pods of the container runtime.

use std::time::Duration;

use futures::StreamExt;

use super::error::StepError;
use super::ports::Ports;
use crate::core::model::labels::POD_NAMESPACE;
use crate::core::model::{ContainerId, SandboxId};
use crate::cri;

/// Grace period of a container; etcd and the API server need a moment to shut down.
const GRACE: Duration = Duration::from_secs(10);
const AT_ONCE: usize = 16;

/// The running sandbox of a component's static pod; `None` if there is none.
pub async fn sandbox_of(ports: &Ports, component: &str) -> Result<Option<SandboxId>, StepError> {
    let ready = cri::PodSandboxState::SandboxReady as i32;
    let sandboxes = ports.runtime.list_sandboxes(None).await.map_err(StepError::Pods)?;
    let own = sandboxes.into_iter().find(|sandbox| {
        let label = |name: &str| sandbox.labels.get(name).map(String::as_str);
        let of_component = label("component") == Some(component) && label(POD_NAMESPACE) == Some("kube-system");
        sandbox.state == ready && of_component
    });
    Ok(own.map(|sandbox| SandboxId::from(sandbox.id)))
}

/// True if a container of the component's static pod is running.
pub async fn runs(ports: &Ports, component: &str) -> Result<bool, StepError> {
    let Some(id) = sandbox_of(ports, component).await? else { return Ok(false) };
    let running = cri::ContainerState::ContainerRunning as i32;
    let containers = ports.runtime.list_containers(None).await.map_err(StepError::Pods)?;
    Ok(containers.iter().any(|container| container.state == running && container.pod_sandbox_id == id.as_str()))
}

/// True if the runtime has no pods.
pub async fn are_gone(ports: &Ports) -> Result<bool, StepError> {
    Ok(ports.runtime.list_sandboxes(None).await.map_err(StepError::Pods)?.is_empty())
}

/// Stops every container, then removes every pod.
pub async fn remove_all(ports: &Ports) -> Result<(), StepError> {
    let containers = ports.runtime.list_containers(None).await.map_err(StepError::Pods)?;
    let stopping = futures::stream::iter(containers).for_each_concurrent(AT_ONCE, |container| async move {
        // A container that cannot be stopped is killed with its sandbox.
        let _ = ports.runtime.stop_container(&ContainerId::from(container.id), GRACE).await;
    });
    stopping.await;
    let sandboxes = ports.runtime.list_sandboxes(None).await.map_err(StepError::Pods)?;
    let removing = futures::stream::iter(sandboxes).map(|sandbox| async move {
        let id = SandboxId::from(sandbox.id);
        ports.runtime.stop_sandbox(&id).await?;
        ports.runtime.remove_sandbox(&id).await
    });
    let outcomes: Vec<_> = removing.buffer_unordered(AT_ONCE).collect().await;
    outcomes.into_iter().collect::<Result<(), _>>().map_err(StepError::Pods)
}
