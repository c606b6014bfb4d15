//! Pods as the container runtime shows them.

use super::ports::Ports;
use crate::core::model::SandboxId;
use crate::core::model::labels::POD_NAMESPACE;
use crate::core::model::spec::Component;
use crate::cri;
use crate::ports::node::RuntimeError;

/// The runtime could not list or stop its pods.
#[derive(Debug, thiserror::Error)]
#[error("list or stop the pods of the container runtime")]
pub struct PodsError(#[source] pub RuntimeError);

/// All sandboxes, those that no longer run included.
pub async fn list(ports: &Ports) -> Result<Vec<cri::PodSandbox>, PodsError> {
    ports.runtime.list_sandboxes(None).await.map_err(PodsError)
}

/// The living sandbox of a component's static pod; `None` if there is none.
pub async fn sandbox_of(ports: &Ports, component: Component) -> Result<Option<SandboxId>, PodsError> {
    let ready = cri::PodSandboxState::SandboxReady as i32;
    let own = list(ports).await?.into_iter().find(|sandbox| {
        let label = |name: &str| sandbox.labels.get(name).map(String::as_str);
        let of_component = label("component") == Some(component.name()) && label(POD_NAMESPACE) == Some("kube-system");
        sandbox.state == ready && of_component
    });
    Ok(own.map(|sandbox| SandboxId::from(sandbox.id)))
}

/// True if a container of the component's static pod runs.
pub async fn runs(ports: &Ports, component: Component) -> Result<bool, PodsError> {
    let Some(id) = sandbox_of(ports, component).await? else { return Ok(false) };
    let running = cri::ContainerState::ContainerRunning as i32;
    let containers = ports.runtime.list_containers(None).await.map_err(PodsError)?;
    Ok(containers.iter().any(|container| container.state == running && container.pod_sandbox_id == id.as_str()))
}
