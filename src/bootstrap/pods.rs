//! The pods of the runtime, ended for good.

use std::time::Duration;

use futures::StreamExt;

use super::error::StepError;
use super::ports::Ports;
use crate::core::model::{ContainerId, SandboxId};

/// What a container gets to end by itself; etcd and the API server need a moment to close.
const GRACE: Duration = Duration::from_secs(10);
const AT_ONCE: usize = 16;

/// True when the runtime has no pod.
pub async fn are_gone(ports: &Ports) -> Result<bool, StepError> {
    Ok(ports.runtime.list_sandboxes(None).await.map_err(StepError::Pods)?.is_empty())
}

/// Ends every container, then removes every pod.
pub async fn remove_all(ports: &Ports) -> Result<(), StepError> {
    let containers = ports.runtime.list_containers(None).await.map_err(StepError::Pods)?;
    let stopping = futures::stream::iter(containers).for_each_concurrent(AT_ONCE, |container| async move {
        // One that cannot be stopped is ended with its sandbox.
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
