//! A runtime that runs commands, and has the pods that a test gives it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::node::FakeNode;
use crate::core::model::labels::{POD_UID, RESTART_COUNT};
use crate::core::model::{ContainerId, PodUid, SandboxId};
use crate::cri;
use crate::ports::{CgroupDriver, Runtime, RuntimeError, RuntimeEvent, StreamStdio};

type Answer = Result<i32, RuntimeError>;

/// A pod with one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakePod {
    /// Its uid.
    pub uid: String,
    /// Its container runs; else it has ended with code 1.
    pub running: bool,
    /// How often it was started again.
    pub restarts: u32,
}

type Pods = Box<dyn Fn() -> Vec<FakePod> + Send + Sync>;

/// Every command exits with what the test set, at first 0.
pub struct FakeExec {
    answer: Mutex<Answer>,
    ran: Mutex<Vec<Vec<String>>>,
    pods: Option<Pods>,
    /// Whose static pods it runs.
    node: Option<Arc<FakeNode>>,
}

impl Default for FakeExec {
    fn default() -> Self {
        Self { answer: Mutex::new(Ok(0)), ran: Mutex::default(), pods: None, node: None }
    }
}

impl FakeExec {
    /// A runtime that has these pods at each look.
    pub fn with_pods(pods: impl Fn() -> Vec<FakePod> + Send + Sync + 'static) -> Self {
        Self { pods: Some(Box::new(pods)), ..Self::default() }
    }

    fn pods(&self, call: &'static str) -> Result<Vec<FakePod>, RuntimeError> {
        self.pods.as_ref().map(|pods| pods()).ok_or(RuntimeError::Unimplemented { call })
    }

    /// A runtime that also has the static pods of a node.
    pub fn with_pods_of(node: &Arc<FakeNode>) -> Self {
        Self { node: Some(node.clone()), ..Self::default() }
    }

    /// Sets the exit code, or the error, of all further commands.
    pub fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// The commands so far, which are then forgotten.
    pub fn take(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.ran.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn absent<T>(call: &'static str) -> Result<T, RuntimeError> {
    Err(RuntimeError::Unimplemented { call })
}

#[async_trait]
impl Runtime for FakeExec {
    async fn exec_sync(
        &self,
        _: &ContainerId,
        command: Vec<String>,
        _: Duration,
    ) -> Result<cri::ExecSyncResponse, RuntimeError> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        let exit_code = self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Ok(cri::ExecSyncResponse { exit_code, stdout: b"output".to_vec(), ..Default::default() })
    }

    async fn version(&self) -> Result<cri::VersionResponse, RuntimeError> {
        absent("Version")
    }
    async fn status(&self) -> Result<cri::StatusResponse, RuntimeError> {
        absent("Status")
    }
    async fn cgroup_driver(&self) -> Result<Option<CgroupDriver>, RuntimeError> {
        absent("RuntimeConfig")
    }
    async fn update_pod_cidr(&self, _: &str) -> Result<(), RuntimeError> {
        absent("UpdateRuntimeConfig")
    }
    async fn run_sandbox(&self, _: cri::PodSandboxConfig, _: &str) -> Result<SandboxId, RuntimeError> {
        absent("RunPodSandbox")
    }
    async fn stop_sandbox(&self, _: &SandboxId) -> Result<(), RuntimeError> {
        absent("StopPodSandbox")
    }
    async fn remove_sandbox(&self, _: &SandboxId) -> Result<(), RuntimeError> {
        absent("RemovePodSandbox")
    }
    async fn list_sandboxes(&self, _: Option<&PodUid>) -> Result<Vec<cri::PodSandbox>, RuntimeError> {
        if let Some(node) = &self.node {
            return Ok(node.sandboxes());
        }
        let sandbox = |pod: FakePod| cri::PodSandbox {
            id: pod.uid.clone(),
            state: cri::PodSandboxState::SandboxReady as i32,
            labels: [(POD_UID.to_owned(), pod.uid)].into(),
            ..cri::PodSandbox::default()
        };
        Ok(self.pods("ListPodSandbox")?.into_iter().map(sandbox).collect())
    }
    async fn sandbox_status(&self, _: &SandboxId) -> Result<cri::PodSandboxStatus, RuntimeError> {
        absent("PodSandboxStatus")
    }
    async fn create_container(
        &self,
        _: &SandboxId,
        _: cri::ContainerConfig,
        _: cri::PodSandboxConfig,
    ) -> Result<ContainerId, RuntimeError> {
        absent("CreateContainer")
    }
    async fn start_container(&self, _: &ContainerId) -> Result<(), RuntimeError> {
        absent("StartContainer")
    }
    async fn stop_container(&self, _: &ContainerId, _: Duration) -> Result<(), RuntimeError> {
        absent("StopContainer")
    }
    async fn remove_container(&self, _: &ContainerId) -> Result<(), RuntimeError> {
        absent("RemoveContainer")
    }
    async fn list_containers(&self, _: Option<&PodUid>) -> Result<Vec<cri::Container>, RuntimeError> {
        if let Some(node) = &self.node {
            let container = |sandbox: cri::PodSandbox| cri::Container {
                id: format!("{}-1", sandbox.id),
                pod_sandbox_id: sandbox.id,
                state: cri::ContainerState::ContainerRunning as i32,
                ..cri::Container::default()
            };
            return Ok(node.sandboxes().into_iter().map(container).collect());
        }
        let container = |pod: FakePod| cri::Container {
            id: pod.uid.clone(),
            pod_sandbox_id: pod.uid,
            annotations: [(RESTART_COUNT.to_owned(), pod.restarts.to_string())].into(),
            ..cri::Container::default()
        };
        Ok(self.pods("ListContainers")?.into_iter().map(container).collect())
    }
    async fn container_status(&self, id: &ContainerId) -> Result<cri::ContainerStatus, RuntimeError> {
        let found = self.pods("ContainerStatus")?.into_iter().find(|pod| pod.uid == id.as_str());
        let pod = found.ok_or(RuntimeError::NotFound { call: "ContainerStatus", message: id.as_str().to_owned() })?;
        let (state, code) = match pod.running {
            true => (cri::ContainerState::ContainerRunning, 0),
            false => (cri::ContainerState::ContainerExited, 1),
        };
        Ok(cri::ContainerStatus { state: state as i32, exit_code: code, ..cri::ContainerStatus::default() })
    }
    async fn update_container_resources(
        &self,
        _: &ContainerId,
        _: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError> {
        absent("UpdateContainerResources")
    }
    async fn update_sandbox_resources(
        &self,
        _: &SandboxId,
        _: cri::LinuxContainerResources,
        _: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError> {
        absent("UpdatePodSandboxResources")
    }
    async fn reopen_log(&self, _: &ContainerId) -> Result<(), RuntimeError> {
        absent("ReopenContainerLog")
    }
    async fn exec_url(&self, _: &ContainerId, _: Vec<String>, _: StreamStdio) -> Result<String, RuntimeError> {
        absent("Exec")
    }
    async fn attach_url(&self, _: &ContainerId, _: StreamStdio) -> Result<String, RuntimeError> {
        absent("Attach")
    }
    async fn port_forward_url(&self, _: &SandboxId, _: Vec<i32>) -> Result<String, RuntimeError> {
        absent("PortForward")
    }
    async fn checkpoint_container(&self, _: &ContainerId, _: &str, _: Duration) -> Result<(), RuntimeError> {
        absent("CheckpointContainer")
    }
    async fn list_container_stats(&self) -> Result<Vec<cri::ContainerStats>, RuntimeError> {
        absent("ListContainerStats")
    }
    fn events(&self) -> mpsc::Receiver<RuntimeEvent> {
        mpsc::channel(1).1
    }
}
