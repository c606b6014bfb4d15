//! The container runtime of a node for the bootstrapper, with the pods that a test defines.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::node::FakeNode;
use crate::core::model::labels::{POD_UID, RESTART_COUNT};
use crate::core::model::{ContainerId, PodUid, SandboxId};
use crate::cri;
use crate::ports::kubelet::ContainerStats;
use crate::ports::node::{RuntimeError, RuntimeQueries, RuntimeTeardown};

/// A pod with one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakePod {
    pub uid: String,
    /// True if its container is running; otherwise it exited with 1.
    pub running: bool,
    pub restarts: u32,
}

type Pods = Box<dyn Fn() -> Vec<FakePod> + Send + Sync>;

/// A runtime with the pods of a test, or those of a [`FakeNode`]. Without either it does not implement its queries.
#[derive(Default)]
pub struct FakeRuntime {
    pods: Option<Pods>,
    /// The node whose static pods it runs.
    node: Option<Arc<FakeNode>>,
}

impl FakeRuntime {
    /// A runtime that has these pods whenever it is queried.
    pub fn with_pods(pods: impl Fn() -> Vec<FakePod> + Send + Sync + 'static) -> Self {
        Self { pods: Some(Box::new(pods)), node: None }
    }

    /// A runtime that has the static pods of a node.
    pub fn with_pods_of(node: &Arc<FakeNode>) -> Self {
        Self { pods: None, node: Some(node.clone()) }
    }

    fn pods(&self, call: &'static str) -> Result<Vec<FakePod>, RuntimeError> {
        self.pods.as_ref().map(|pods| pods()).ok_or(RuntimeError::Unimplemented { call })
    }
}

#[async_trait]
impl RuntimeQueries for FakeRuntime {
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
    async fn sandbox_status(&self, id: &SandboxId) -> Result<cri::PodSandboxStatus, RuntimeError> {
        Err(RuntimeError::NotFound { call: "PodSandboxStatus", message: id.to_string() })
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
}

/// The pods are those of the test: removing them has no effect.
#[async_trait]
impl RuntimeTeardown for FakeRuntime {
    async fn stop_container(&self, _: &ContainerId, _: Duration) -> Result<(), RuntimeError> {
        Ok(())
    }
    async fn remove_container(&self, _: &ContainerId) -> Result<(), RuntimeError> {
        Ok(())
    }
    async fn stop_sandbox(&self, _: &SandboxId) -> Result<(), RuntimeError> {
        Ok(())
    }
    async fn remove_sandbox(&self, _: &SandboxId) -> Result<(), RuntimeError> {
        Ok(())
    }
}

#[async_trait]
impl ContainerStats for FakeRuntime {
    async fn list_container_stats(&self) -> Result<Vec<cri::ContainerStats>, RuntimeError> {
        Ok(Vec::new())
    }
    async fn list_pod_sandbox_stats(&self) -> Result<Vec<cri::PodSandboxStats>, RuntimeError> {
        Ok(Vec::new())
    }
}
