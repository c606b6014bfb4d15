//! What a reset removes besides files and units: pods and the pod network.

use std::time::Duration;

use futures::StreamExt;

use crate::bootstrap::error::StepError;
use crate::bootstrap::pods::{PodsError, list};
use crate::bootstrap::ports::Ports;
use crate::core::model::{ContainerId, SandboxId};

/// Grace period of a container; etcd and the API server need a moment to close.
const GRACE: Duration = Duration::from_secs(10);
/// How many containers or pods are stopped at a time.
const AT_ONCE: usize = 16;

/// True if the container runtime has no pod.
pub async fn has_no_pods(ports: &Ports) -> Result<bool, StepError> {
    Ok(list(ports).await?.is_empty())
}

/// Stops every container, then removes every pod.
pub async fn remove_pods(ports: &Ports) -> Result<(), StepError> {
    let containers = ports.runtime.list_containers(None).await.map_err(PodsError)?;
    let stopping = futures::stream::iter(containers).for_each_concurrent(AT_ONCE, |container| async move {
        // One that cannot be stopped is killed with its sandbox.
        let _ = ports.runtime.stop_container(&ContainerId::from(container.id), GRACE).await;
    });
    stopping.await;
    let removing = futures::stream::iter(list(ports).await?).map(|sandbox| async move {
        let id = SandboxId::from(sandbox.id);
        ports.runtime.stop_sandbox(&id).await?;
        ports.runtime.remove_sandbox(&id).await
    });
    let outcomes: Vec<_> = removing.buffer_unordered(AT_ONCE).collect().await;
    Ok(outcomes.into_iter().collect::<Result<(), _>>().map_err(PodsError)?)
}

/// True if nothing of the pod network is on the node.
pub async fn has_no_pod_network(ports: &Ports) -> Result<bool, StepError> {
    Ok(ports.network.observe_traces().await?.is_empty())
}

/// Removes routes, rules, bridge, CNI configuration and leases of the pod network.
pub async fn remove_pod_network(ports: &Ports) -> Result<(), StepError> {
    Ok(ports.network.remove_traces().await?)
}
