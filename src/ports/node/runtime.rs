//! The CRI RuntimeService, as both programs use it: lists, inspects and removes sandboxes and containers.

use std::time::Duration;

use async_trait::async_trait;

use crate::core::model::{ContainerId, PodUid, SandboxId};
use crate::cri;

/// Why a call to the runtime failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The sandbox, container or image does not exist.
    #[error("{call}: not found: {message}")]
    NotFound {
        /// Name of the CRI method.
        call: &'static str,
        /// Message of the runtime.
        message: String,
    },
    /// The runtime does not implement the call.
    #[error("{call}: the runtime does not implement it")]
    Unimplemented {
        /// Name of the CRI method.
        call: &'static str,
    },
    /// The call timed out.
    #[error("{call}: no answer in time")]
    DeadlineExceeded {
        /// Name of the CRI method.
        call: &'static str,
    },
    /// The runtime cannot be reached.
    #[error("{call}: the runtime cannot be reached: {message}")]
    Unavailable {
        /// Name of the CRI method.
        call: &'static str,
        /// Message of the transport.
        message: String,
    },
    /// Any other error of the runtime.
    #[error("{message}")]
    Other {
        /// Name of the CRI method.
        call: &'static str,
        /// Message of the runtime, as users expect to see it in events.
        message: String,
    },
}

/// Lists and inspects sandboxes and containers. Every method is one call, which is cancelled when its future is dropped.
#[async_trait]
pub trait RuntimeQueries: Send + Sync {
    /// Sandboxes of one pod; with `None`, of all pods.
    async fn list_sandboxes(&self, pod: Option<&PodUid>) -> Result<Vec<cri::PodSandbox>, RuntimeError>;
    /// The status of a sandbox, with its addresses and namespaces.
    async fn sandbox_status(&self, id: &SandboxId) -> Result<cri::PodSandboxStatus, RuntimeError>;
    /// Containers of one pod; with `None`, of all pods.
    async fn list_containers(&self, pod: Option<&PodUid>) -> Result<Vec<cri::Container>, RuntimeError>;
    /// The status of a container, with exit code, times, mounts and resources.
    async fn container_status(&self, id: &ContainerId) -> Result<cri::ContainerStatus, RuntimeError>;
    /// The command line with which a container was created; `None` if the runtime does not report it.
    async fn container_arguments(&self, _id: &ContainerId) -> Result<Option<Vec<String>>, RuntimeError> {
        Ok(None)
    }
}

/// Stops and removes sandboxes and containers. Every method is one call, which continues when its future is dropped; "not
/// found" is success.
#[async_trait]
pub trait RuntimeTeardown: Send + Sync {
    /// Stops a container: SIGTERM, and SIGKILL after `grace`.
    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError>;
    /// Removes a container; a running one is killed.
    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;
    /// Stops a sandbox and everything in it, and releases its network.
    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;
    /// Removes a stopped sandbox and its containers.
    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;
}
