//! Tasks that containerd's CRI has lost track of.
//!
//! If a start is cancelled at the wrong moment (the kubelet was killed), containerd's CRI records the container as
//! exited while its task still exists, frozen or waiting; afterwards it refuses to remove the container: "cannot delete
//! running task". containerd's own API on the same socket can still access the task.

use std::time::Duration;

use containerd_client::services::v1 as api;
use containerd_client::services::v1::tasks_client::TasksClient;
use tonic::{Code, Request, Status};

use super::Cri;
use crate::core::model::ContainerId;
use crate::ports::node::RuntimeError;

const KILL: u32 = 9;
/// Interval of checking a task that was killed, and the number of checks.
const PAUSE: Duration = Duration::from_millis(100);
const LOOKS: u32 = 20;

/// True if this is why a container could not be removed.
pub(super) fn is_lost_task(error: &RuntimeError) -> bool {
    matches!(error, RuntimeError::Other { message, .. } if message.contains("cannot delete running task"))
}

impl Cri {
    /// Kills and deletes the task of a container that CRI reports as exited.
    ///
    /// # Errors
    /// The runtime is not containerd, or the task does not exit.
    pub(super) async fn delete_lost_task(&self, id: &ContainerId) -> Result<(), Status> {
        let mut tasks = TasksClient::new(self.channel.clone());
        let kill = api::KillRequest { container_id: id.to_string(), signal: KILL, all: true, ..Default::default() };
        // It may have exited already; deleting it will show.
        _ = tasks.kill(request(kill)).await;
        let mut looks = 0;
        loop {
            let delete = api::DeleteTaskRequest { container_id: id.to_string() };
            match tasks.delete(request(delete)).await {
                Ok(_) => return Ok(()),
                Err(status) if status.code() == Code::NotFound => return Ok(()),
                Err(status) if status.code() == Code::FailedPrecondition && looks < LOOKS => {
                    looks = looks.saturating_add(1);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(status) => return Err(status),
            }
        }
    }
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let namespace = tonic::metadata::MetadataValue::from_static(crate::adapters::containerd::NAMESPACE);
    request.metadata_mut().insert("containerd-namespace", namespace);
    request
}
