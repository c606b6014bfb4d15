//! The CRI RuntimeService as both programs use it: what the runtime has, and how that is removed.

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
        /// The CRI method.
        call: &'static str,
        /// Message of the runtime.
        message: String,
    },
    /// The runtime does not have this call.
    #[error("{call}: the runtime does not implement it")]
    Unimplemented {
        /// The CRI method.
        call: &'static str,
    },
    /// No answer in time.
    #[error("{call}: no answer in time")]
    DeadlineExceeded {
        /// The CRI method.
        call: &'static str,
    },
    /// The runtime cannot be reached.
    #[error("{call}: the runtime cannot be reached: {message}")]
    Unavailable {
        /// The CRI method.
        call: &'static str,
        /// Message of the transport.
        message: String,
    },
    /// Anything else that the runtime said.
    #[error("{message}")]
    Other {
        /// The CRI method.
        call: &'static str,
        /// The runtime's text, as users expect to read it in events.
        message: String,
    },
}

/// Lists and inspects sandboxes and containers. Every method is one call, which is cancelled when its future is dropped.
#[async_trait]
pub trait RuntimeQueries: Send + Sync {
    /// Sandboxes of one pod, or of all pods.
    async fn list_sandboxes(&self, pod: Option<&PodUid>) -> Result<Vec<cri::PodSandbox>, RuntimeError>;
    /// One sandbox with its addresses and namespaces.
    async fn sandbox_status(&self, id: &SandboxId) -> Result<cri::PodSandboxStatus, RuntimeError>;
    /// Containers of one pod, or of all pods.
    async fn list_containers(&self, pod: Option<&PodUid>) -> Result<Vec<cri::Container>, RuntimeError>;
    /// One container with its exit code, times, mounts and resources.
    async fn container_status(&self, id: &ContainerId) -> Result<cri::ContainerStatus, RuntimeError>;
    /// The words of the process that a container was made with; `None` where the runtime does not report it.
    async fn container_arguments(&self, _id: &ContainerId) -> Result<Option<Vec<String>>, RuntimeError> {
        Ok(None)
    }
}

/// Stops and removes sandboxes and containers. Every method is one call, which continues when its future is dropped; "not
/// found" is success.
#[async_trait]
pub trait RuntimeTeardown: Send + Sync {
    /// Stops a container, with SIGKILL once `grace` has passed.
    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError>;
    /// Removes a container; a running one is killed.
    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;
    /// Stops a sandbox and all that runs in it, and releases its network.
    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;
    /// Removes a stopped sandbox and its containers.
    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;
}
