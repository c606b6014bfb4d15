//! Sandboxes and containers: the CRI RuntimeService as the kubelet uses it.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

pub use crate::core::model::StreamStdio;
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

/// Who makes the pod cgroups' children: systemd over D-Bus or the runtime itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupDriver {
    /// Slices and scopes.
    Systemd,
    /// Plain directories.
    Cgroupfs,
}

/// A hint that something changed; it never carries state, the receiver reads again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// A container or sandbox (their ids share one space) started or vanished.
    Container(ContainerId),
    /// A container or sandbox exited. The runtime's own status may lag behind this hint: read until it says so too.
    Exited(ContainerId),
    /// A sandbox (or a container of this pod, where the runtime names the pod) changed.
    Pod(PodUid),
    /// Events were lost, or the runtime came back: read everything again.
    Resync,
}

/// The CRI runtime. Every method is one call; "not found" on remove and stop is success. A call that changes something
/// continues when its future is dropped; queries are cancelled.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Name and version of the runtime.
    async fn version(&self) -> Result<cri::VersionResponse, RuntimeError>;
    /// Conditions (RuntimeReady, NetworkReady), runtime handlers and features.
    async fn status(&self) -> Result<cri::StatusResponse, RuntimeError>;
    /// The runtime's cgroup driver; `Ok(None)` when it cannot tell (containerd 1.6).
    async fn cgroup_driver(&self) -> Result<Option<CgroupDriver>, RuntimeError>;
    /// Tells the runtime the node's pod CIDR.
    async fn update_pod_cidr(&self, cidr: &str) -> Result<(), RuntimeError>;

    /// Creates and starts a sandbox.
    async fn run_sandbox(&self, config: cri::PodSandboxConfig, handler: &str) -> Result<SandboxId, RuntimeError>;
    /// Stops a sandbox and all that runs in it, and releases its network.
    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;
    /// Removes a stopped sandbox and its containers.
    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;
    /// Sandboxes of one pod, or of all pods.
    async fn list_sandboxes(&self, pod: Option<&PodUid>) -> Result<Vec<cri::PodSandbox>, RuntimeError>;
    /// One sandbox with its addresses and namespaces.
    async fn sandbox_status(&self, id: &SandboxId) -> Result<cri::PodSandboxStatus, RuntimeError>;

    /// Creates a container in a sandbox.
    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Result<ContainerId, RuntimeError>;
    /// Starts a created container.
    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;
    /// Stops a container, with SIGKILL once `grace` has passed.
    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError>;
    /// Removes a container; a running one is killed.
    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;
    /// Containers of one pod, or of all pods.
    async fn list_containers(&self, pod: Option<&PodUid>) -> Result<Vec<cri::Container>, RuntimeError>;
    /// One container with its exit code, times, mounts and resources.
    async fn container_status(&self, id: &ContainerId) -> Result<cri::ContainerStatus, RuntimeError>;
    /// The words of the process that a container was made with; `None` where the runtime does not report it.
    async fn container_arguments(&self, _id: &ContainerId) -> Result<Option<Vec<String>>, RuntimeError> {
        Ok(None)
    }
    /// Changes a running container's limits.
    async fn update_container_resources(
        &self,
        id: &ContainerId,
        resources: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError>;
    /// Tells the runtime of a sandbox's new totals; unimplemented is success.
    async fn update_sandbox_resources(
        &self,
        id: &SandboxId,
        overhead: cri::LinuxContainerResources,
        resources: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError>;
    /// Makes the runtime open the log file again after it was renamed.
    async fn reopen_log(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Runs a command to its end; `timeout` of zero means without bound.
    async fn exec_sync(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        timeout: Duration,
    ) -> Result<cri::ExecSyncResponse, RuntimeError>;
    /// URL of the runtime's streaming server for an exec.
    async fn exec_url(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        stdio: StreamStdio,
    ) -> Result<String, RuntimeError>;
    /// URL of the runtime's streaming server for an attach.
    async fn attach_url(&self, id: &ContainerId, stdio: StreamStdio) -> Result<String, RuntimeError>;
    /// URL of the runtime's streaming server for a port-forward.
    async fn port_forward_url(&self, id: &SandboxId, ports: Vec<i32>) -> Result<String, RuntimeError>;

    /// Writes a checkpoint of the container to `location`.
    async fn checkpoint_container(
        &self,
        id: &ContainerId,
        location: &str,
        timeout: Duration,
    ) -> Result<(), RuntimeError>;
    /// Usage of all containers; for nodes where the cgroup files cannot be read.
    async fn list_container_stats(&self) -> Result<Vec<cri::ContainerStats>, RuntimeError>;

    /// Hints of changes for as long as the receiver lives; starts with [`RuntimeEvent::Resync`] at each (re)connect.
    fn events(&self) -> mpsc::Receiver<RuntimeEvent>;
}
