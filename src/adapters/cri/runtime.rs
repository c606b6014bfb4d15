//! The ports of the runtime over the CRI: one call per method, with upstream's deadlines.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::connect::Cri;
use super::errors::gone_is_fine;
use super::events;
use super::lost_task::is_lost_task;
use crate::core::model::time::LONGEST_WAIT;
use crate::core::model::{ContainerId, PodUid, SandboxId, labels};
use crate::core::network::cni::{RuntimeNetwork, read_runtime_info};
use crate::cri;
use crate::ports::kubelet::{
    CgroupDriver, ContainerAccess, ContainerExec, ContainerStats, RuntimeEvent, RuntimeInfo, RuntimeLaunch, StreamStdio,
};
use crate::ports::node::{RuntimeError, RuntimeQueries, RuntimeTeardown};

impl Cri {
    async fn containers(&self, filter: Option<cri::ContainerFilter>) -> Result<Vec<cri::Container>, RuntimeError> {
        let request = cri::ListContainersRequest { filter };
        Ok(self.call("ListContainers", Some(self.timeout), self.runtime().list_containers(request)).await?.containers)
    }
}

impl Cri {
    /// What the runtime says of its network, in the detail of a verbose status.
    ///
    /// # Errors
    /// The runtime does not answer.
    pub async fn network(&self) -> Result<RuntimeNetwork, RuntimeError> {
        let request = cri::StatusRequest { verbose: true };
        let answer = self.call("Status", Some(self.timeout), self.runtime().status(request)).await?;
        let conditions = answer.status.map(|status| status.conditions).unwrap_or_default();
        let unready = conditions.into_iter().find(|condition| condition.r#type == "NetworkReady" && !condition.status);
        let (plugin_folders, own_loopback) = read_runtime_info(&answer.info.into_iter().collect());
        let fault = unready.map(|condition| format!("{}: {}", condition.reason, condition.message));
        Ok(RuntimeNetwork { fault, plugin_folders, own_loopback })
    }
}

#[async_trait]
impl RuntimeInfo for Cri {
    async fn version(&self) -> Result<cri::VersionResponse, RuntimeError> {
        let request = cri::VersionRequest { version: "0.1.0".into() };
        self.call("Version", Some(self.timeout), self.runtime().version(request)).await
    }

    async fn status(&self) -> Result<cri::StatusResponse, RuntimeError> {
        self.call("Status", Some(self.timeout), self.runtime().status(cri::StatusRequest { verbose: false })).await
    }

    async fn cgroup_driver(&self) -> Result<Option<CgroupDriver>, RuntimeError> {
        let request = cri::RuntimeConfigRequest {};
        let answer = match self.call("RuntimeConfig", Some(self.timeout), self.runtime().runtime_config(request)).await
        {
            Err(RuntimeError::Unimplemented { .. }) => return Ok(None),
            other => other?,
        };
        Ok(answer.linux.map(|linux| match linux.cgroup_driver() {
            cri::CgroupDriver::Systemd => CgroupDriver::Systemd,
            cri::CgroupDriver::Cgroupfs => CgroupDriver::Cgroupfs,
        }))
    }

    async fn update_pod_cidr(&self, cidr: &str) -> Result<(), RuntimeError> {
        let network_config = Some(cri::NetworkConfig { pod_cidr: cidr.into() });
        let request = cri::UpdateRuntimeConfigRequest { runtime_config: Some(cri::RuntimeConfig { network_config }) };
        self.carry("UpdateRuntimeConfig", Some(self.timeout), |mut client| async move {
            client.update_runtime_config(request).await
        })
        .await?;
        Ok(())
    }

    fn events(&self) -> mpsc::Receiver<RuntimeEvent> {
        events::watch(self.clone())
    }
}

#[async_trait]
impl RuntimeQueries for Cri {
    async fn list_sandboxes(&self, pod: Option<&PodUid>) -> Result<Vec<cri::PodSandbox>, RuntimeError> {
        let filter = pod.map(|uid| cri::PodSandboxFilter { label_selector: uid_label(uid), ..Default::default() });
        let request = cri::ListPodSandboxRequest { filter };
        Ok(self.call("ListPodSandbox", Some(self.timeout), self.runtime().list_pod_sandbox(request)).await?.items)
    }

    async fn sandbox_status(&self, id: &SandboxId) -> Result<cri::PodSandboxStatus, RuntimeError> {
        let call = "PodSandboxStatus";
        let request = cri::PodSandboxStatusRequest { pod_sandbox_id: id.to_string(), verbose: false };
        let answer = self.call(call, Some(self.timeout), self.runtime().pod_sandbox_status(request)).await?;
        answer.status.ok_or_else(|| empty(call, id.as_str()))
    }

    async fn list_containers(&self, pod: Option<&PodUid>) -> Result<Vec<cri::Container>, RuntimeError> {
        let filter = pod.map(|uid| cri::ContainerFilter { label_selector: uid_label(uid), ..Default::default() });
        self.containers(filter).await
    }

    async fn container_status(&self, id: &ContainerId) -> Result<cri::ContainerStatus, RuntimeError> {
        let call = "ContainerStatus";
        let request = cri::ContainerStatusRequest { container_id: id.to_string(), verbose: false };
        let answer = self.call(call, Some(self.timeout), self.runtime().container_status(request)).await?;
        answer.status.ok_or_else(|| empty(call, id.as_str()))
    }

    async fn container_arguments(&self, id: &ContainerId) -> Result<Option<Vec<String>>, RuntimeError> {
        let request = cri::ContainerStatusRequest { container_id: id.to_string(), verbose: true };
        let mut client = self.runtime();
        let answer = self.call("ContainerStatus", Some(self.timeout), client.container_status(request)).await?;
        // containerd's debug information: the OCI spec of the container, as JSON.
        let info = answer.info.get("info").and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let words = info.as_ref().and_then(|info| info.pointer("/runtimeSpec/process/args")?.as_array());
        Ok(words.map(|words| words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()))
    }
}

#[async_trait]
impl RuntimeLaunch for Cri {
    async fn run_sandbox(&self, config: cri::PodSandboxConfig, handler: &str) -> Result<SandboxId, RuntimeError> {
        let request = cri::RunPodSandboxRequest { config: Some(config), runtime_handler: handler.into() };
        let limit = Some(self.timeout.saturating_mul(2));
        Ok(self
            .carry("RunPodSandbox", limit, |mut client| async move { client.run_pod_sandbox(request).await })
            .await?
            .pod_sandbox_id
            .into())
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_string(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        let answer =
            self.carry("CreateContainer", Some(self.timeout), |mut client| async move {
                client.create_container(request).await
            })
            .await?;
        Ok(answer.container_id.into())
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let request = cri::StartContainerRequest { container_id: id.to_string() };
        self.carry(
            "StartContainer",
            Some(self.timeout),
            |mut client| async move { client.start_container(request).await },
        )
        .await?;
        Ok(())
    }

    async fn update_container_resources(
        &self,
        id: &ContainerId,
        resources: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError> {
        let request = cri::UpdateContainerResourcesRequest {
            container_id: id.to_string(),
            linux: Some(resources),
            ..Default::default()
        };
        self.carry("UpdateContainerResources", Some(self.timeout), |mut client| async move {
            client.update_container_resources(request).await
        })
        .await?;
        Ok(())
    }

    async fn update_sandbox_resources(
        &self,
        id: &SandboxId,
        overhead: cri::LinuxContainerResources,
        resources: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError> {
        let request = cri::UpdatePodSandboxResourcesRequest {
            pod_sandbox_id: id.to_string(),
            overhead: Some(overhead),
            resources: Some(resources),
        };
        match self
            .carry("UpdatePodSandboxResources", Some(self.timeout), |mut client| async move {
                client.update_pod_sandbox_resources(request).await
            })
            .await
        {
            Ok(_) | Err(RuntimeError::Unimplemented { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl RuntimeTeardown for Cri {
    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        let grace = grace.min(LONGEST_WAIT);
        let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let request = cri::StopContainerRequest { container_id: id.to_string(), timeout };
        let limit = Some(self.timeout.saturating_add(grace));
        gone_is_fine(
            self.carry_long("StopContainer", limit, |mut client| async move { client.stop_container(request).await })
                .await,
        )?;
        Ok(())
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let remove = || async {
            let request = cri::RemoveContainerRequest { container_id: id.to_string() };
            let answer = self
                .carry("RemoveContainer", Some(self.timeout), |mut client| async move {
                    client.remove_container(request).await
                })
                .await;
            gone_is_fine(answer).map(|_| ())
        };
        match remove().await {
            Err(error) if is_lost_task(&error) => match self.delete_lost_task(id).await {
                Ok(()) => {
                    tracing::info!(container = %id, "deleted a container's task that the runtime had lost");
                    remove().await
                }
                Err(status) => {
                    tracing::warn!(container = %id, %status, "a task that the runtime lost cannot be deleted");
                    Err(error)
                }
            },
            other => other,
        }
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let request = cri::StopPodSandboxRequest { pod_sandbox_id: id.to_string() };
        gone_is_fine(
            self.carry("StopPodSandbox", Some(self.timeout), |mut client| async move {
                client.stop_pod_sandbox(request).await
            })
            .await,
        )?;
        Ok(())
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let remove = || async {
            let request = cri::RemovePodSandboxRequest { pod_sandbox_id: id.to_string() };
            let answer = self
                .carry("RemovePodSandbox", Some(self.timeout), |mut client| async move {
                    client.remove_pod_sandbox(request).await
                })
                .await;
            gone_is_fine(answer).map(|_| ())
        };
        match remove().await {
            Err(error) if is_lost_task(&error) => {
                let filter = cri::ContainerFilter { pod_sandbox_id: id.to_string(), ..Default::default() };
                for container in self.containers(Some(filter)).await? {
                    self.remove_container(&container.id.into()).await?;
                }
                remove().await
            }
            other => other,
        }
    }
}

#[async_trait]
impl ContainerStats for Cri {
    async fn list_container_stats(&self) -> Result<Vec<cri::ContainerStats>, RuntimeError> {
        let request = cri::ListContainerStatsRequest { filter: None };
        let mut client = self.runtime();
        Ok(self.call("ListContainerStats", Some(self.timeout), client.list_container_stats(request)).await?.stats)
    }
    async fn list_pod_sandbox_stats(&self) -> Result<Vec<cri::PodSandboxStats>, RuntimeError> {
        let request = cri::ListPodSandboxStatsRequest { filter: None };
        let mut client = self.runtime();
        Ok(self.call("ListPodSandboxStats", Some(self.timeout), client.list_pod_sandbox_stats(request)).await?.stats)
    }
}

#[async_trait]
impl ContainerExec for Cri {
    async fn exec_sync(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        timeout: Duration,
    ) -> Result<cri::ExecSyncResponse, RuntimeError> {
        let limit = (!timeout.is_zero()).then(|| self.timeout.saturating_add(timeout));
        let request = cri::ExecSyncRequest {
            container_id: id.to_string(),
            cmd: command,
            timeout: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        };
        self.carry_long("ExecSync", limit, |mut client| async move { client.exec_sync(request).await }).await
    }
}

#[async_trait]
impl ContainerAccess for Cri {
    async fn exec_url(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        stdio: StreamStdio,
    ) -> Result<String, RuntimeError> {
        let request = cri::ExecRequest {
            container_id: id.to_string(),
            cmd: command,
            tty: stdio.tty,
            stdin: stdio.stdin,
            stdout: stdio.stdout,
            stderr: stdio.stderr,
        };
        Ok(self.call("Exec", Some(self.timeout), self.runtime().exec(request)).await?.url)
    }

    async fn attach_url(&self, id: &ContainerId, stdio: StreamStdio) -> Result<String, RuntimeError> {
        let request = cri::AttachRequest {
            container_id: id.to_string(),
            stdin: stdio.stdin,
            tty: stdio.tty,
            stdout: stdio.stdout,
            stderr: stdio.stderr,
        };
        Ok(self.call("Attach", Some(self.timeout), self.runtime().attach(request)).await?.url)
    }

    async fn port_forward_url(&self, id: &SandboxId, ports: Vec<i32>) -> Result<String, RuntimeError> {
        let request = cri::PortForwardRequest { pod_sandbox_id: id.to_string(), port: ports };
        Ok(self.call("PortForward", Some(self.timeout), self.runtime().port_forward(request)).await?.url)
    }

    async fn checkpoint_container(
        &self,
        id: &ContainerId,
        location: &str,
        timeout: Duration,
    ) -> Result<(), RuntimeError> {
        let request = cri::CheckpointContainerRequest {
            container_id: id.to_string(),
            location: location.into(),
            timeout: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        };
        let limit = if timeout.is_zero() { self.timeout } else { timeout };
        self.carry_long("CheckpointContainer", Some(limit), |mut client| async move {
            client.checkpoint_container(request).await
        })
        .await?;
        Ok(())
    }

    async fn reopen_log(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let request = cri::ReopenContainerLogRequest { container_id: id.to_string() };
        self.carry("ReopenContainerLog", Some(self.timeout), |mut client| async move {
            client.reopen_container_log(request).await
        })
        .await?;
        Ok(())
    }
}

fn uid_label(uid: &PodUid) -> HashMap<String, String> {
    HashMap::from([(labels::POD_UID.to_owned(), uid.to_string())])
}

fn empty(call: &'static str, id: &str) -> RuntimeError {
    RuntimeError::Other { call, message: format!("{call} of {id}: the runtime returned no status") }
}
