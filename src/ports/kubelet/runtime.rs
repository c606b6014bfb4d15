//! The CRI RuntimeService, as the kubelet uses it: one trait for each kind of caller.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

pub use crate::core::model::StreamStdio;
use crate::core::model::{ContainerId, PodUid, SandboxId};
use crate::cri;
use crate::ports::node::{RuntimeError, RuntimeQueries, RuntimeTeardown};

/// Who creates the cgroups of containers: systemd over D-Bus, or the runtime itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupDriver {
    /// systemd, as slices and scopes.
    Systemd,
    /// The runtime, as plain directories.
    Cgroupfs,
}

/// A hint that something changed; it carries no state, the receiver has to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// A container or sandbox (their ids are distinct) started or disappeared.
    Container(ContainerId),
    /// A container or sandbox exited. The runtime's own status may lag behind this hint: read until it agrees.
    Exited(ContainerId),
    /// A sandbox (or a container of this pod, if the runtime names the pod) changed.
    Pod(PodUid),
    /// Events were lost, or the runtime reconnected: read everything again.
    Resync,
}

/// The runtime itself: version, conditions, settings, events. Every method is one call.
#[async_trait]
pub trait RuntimeInfo: Send + Sync {
    /// Name and version of the runtime.
    async fn version(&self) -> Result<cri::VersionResponse, RuntimeError>;
    /// Conditions (RuntimeReady, NetworkReady), runtime handlers and features.
    async fn status(&self) -> Result<cri::StatusResponse, RuntimeError>;
    /// The runtime's cgroup driver; `Ok(None)` if it does not report it (containerd 1.6).
    async fn cgroup_driver(&self) -> Result<Option<CgroupDriver>, RuntimeError>;
    /// Configures the node's pod CIDR in the runtime.
    async fn update_pod_cidr(&self, cidr: &str) -> Result<(), RuntimeError>;
    /// Hints of changes, as long as the receiver exists; starts with [`RuntimeEvent::Resync`] at each (re)connection.
    fn events(&self) -> mpsc::Receiver<RuntimeEvent>;
}

/// Creates, starts and resizes sandboxes and containers. Every method is one call, which continues when its future is
/// dropped.
#[async_trait]
pub trait RuntimeLaunch: Send + Sync {
    /// Creates and starts a sandbox.
    async fn run_sandbox(&self, config: cri::PodSandboxConfig, handler: &str) -> Result<SandboxId, RuntimeError>;
    /// Creates a container in a sandbox.
    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Result<ContainerId, RuntimeError>;
    /// Starts a container that was created.
    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;
    /// Changes the resource limits of a running container.
    async fn update_container_resources(
        &self,
        id: &ContainerId,
        resources: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError>;
    /// Updates a sandbox's total resources in the runtime; "unimplemented" is success.
    async fn update_sandbox_resources(
        &self,
        id: &SandboxId,
        overhead: cri::LinuxContainerResources,
        resources: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError>;
}

/// Usage as the runtime measures it.
#[async_trait]
pub trait ContainerStats: Send + Sync {
    /// Usage of all containers; for nodes whose cgroup files cannot be read.
    async fn list_container_stats(&self) -> Result<Vec<cri::ContainerStats>, RuntimeError>;
    /// Usage of all sandboxes with their containers.
    async fn list_pod_sandbox_stats(&self) -> Result<Vec<cri::PodSandboxStats>, RuntimeError>;
}

/// Runs commands in containers: probes, hooks and `/run`. A command continues when its future is dropped.
#[async_trait]
pub trait ContainerExec: Send + Sync {
    /// Runs a command to completion; a `timeout` of zero means no limit.
    async fn exec_sync(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        timeout: Duration,
    ) -> Result<cri::ExecSyncResponse, RuntimeError>;
}

/// Functions on containers for clients of the kubelet's server and for log rotation. Every method is one call.
#[async_trait]
pub trait ContainerAccess: Send + Sync {
    /// URL of the runtime's streaming server for exec.
    async fn exec_url(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        stdio: StreamStdio,
    ) -> Result<String, RuntimeError>;
    /// URL of the runtime's streaming server for attach.
    async fn attach_url(&self, id: &ContainerId, stdio: StreamStdio) -> Result<String, RuntimeError>;
    /// URL of the runtime's streaming server for port-forward.
    async fn port_forward_url(&self, id: &SandboxId, ports: Vec<i32>) -> Result<String, RuntimeError>;
    /// Writes a checkpoint of the container to `location`.
    async fn checkpoint_container(
        &self,
        id: &ContainerId,
        location: &str,
        timeout: Duration,
    ) -> Result<(), RuntimeError>;
    /// Makes the runtime reopen the log file after it was renamed.
    async fn reopen_log(&self, id: &ContainerId) -> Result<(), RuntimeError>;
}

/// The runtime's functions for the workers of pods.
pub trait PodRuntime: RuntimeInfo + RuntimeQueries + RuntimeLaunch + RuntimeTeardown + ContainerStats {}

impl<T: RuntimeInfo + RuntimeQueries + RuntimeLaunch + RuntimeTeardown + ContainerStats> PodRuntime for T {}

/// The runtime's functions for the kubelet's server.
pub trait ServerRuntime: RuntimeQueries + ContainerExec + ContainerAccess {}

impl<T: RuntimeQueries + ContainerExec + ContainerAccess> ServerRuntime for T {}
