//! The runtime, with containerd's behavior: names are reserved, a container only starts in a ready sandbox, a stop
//! waits for the grace period, a running container's record cannot be removed.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::clock::wall;
use super::gate::Life;
use super::records::{Container, KILLED, Run, START_ERROR, Sandbox};
use super::state::State;
use crate::core::model::{ContainerId, PodUid, SandboxId};
use crate::cri;
use crate::ports::kubelet::{CgroupDriver, ContainerStats, RuntimeEvent, RuntimeInfo, RuntimeLaunch};
use crate::ports::node::{RuntimeError, RuntimeQueries, RuntimeTeardown};

/// Exit codes of processes that were terminated by SIGTERM and SIGKILL.
const TERMED: i32 = 143;

fn other<T>(call: &'static str, message: String) -> Result<T, RuntimeError> {
    Err(RuntimeError::Other { call, message })
}

fn not_found<T>(call: &'static str, id: &str) -> Result<T, RuntimeError> {
    Err(RuntimeError::NotFound { call, message: id.into() })
}

/// `name#attempt` of a container, for the list of calls.
fn label(state: &State, id: &ContainerId) -> String {
    let found = state.containers.iter().find(|c| c.id == id.as_str());
    found.map_or_else(|| id.to_string(), |c| format!("{}#{}", c.name(), c.attempt()))
}

fn run_sandbox(state: &mut State, config: cri::PodSandboxConfig) -> Result<SandboxId, RuntimeError> {
    let name = Sandbox::name(&config);
    if let Some(holder) = state.sandboxes.iter().find(|s| Sandbox::name(&s.config) == name) {
        let message = format!("failed to reserve sandbox name \"{name}\": name is reserved for \"{}\"", holder.id);
        return other("RunPodSandbox", message);
    }
    let (id, created_at) = state.make("s");
    let uid = config.metadata.clone().unwrap_or_default().uid;
    if state.sandboxes.iter().any(|s| s.ready && s.uid() == uid) {
        state.sins.push(format!("the pod has a second ready sandbox, {name}"));
    }
    state.sandboxes.push(Sandbox { id: id.clone(), config, ready: true, created_at });
    state.hint(&RuntimeEvent::Container(ContainerId::from(&id)));
    Ok(SandboxId::from(id))
}

fn create(state: &mut State, sandbox: &SandboxId, config: cri::ContainerConfig) -> Result<ContainerId, RuntimeError> {
    let call = "CreateContainer";
    let Some(home) = state.sandboxes.iter().find(|s| s.id == sandbox.as_str()) else {
        return not_found(call, sandbox.as_str());
    };
    if !home.ready {
        return other(call, format!("sandbox {sandbox} is not running"));
    }
    let uid = home.uid().to_owned();
    let meta = config.metadata.clone().unwrap_or_default();
    let twin = |c: &&Container| c.uid() == uid && c.name() == meta.name && c.attempt() == meta.attempt;
    if let Some(holder) = state.containers.iter().find(twin) {
        let name = format!("{}_{uid}_{}", meta.name, meta.attempt);
        let message = format!("failed to reserve container name \"{name}\": name is reserved for \"{}\"", holder.id);
        return other(call, message);
    }
    let (id, created_at) = state.make("c");
    state.containers.push(Container {
        id: id.clone(),
        sandbox: sandbox.to_string(),
        config,
        run: Run::Created,
        created_at,
        started_at: None,
        finished_at: None,
        message: String::new(),
    });
    Ok(ContainerId::from(id))
}

/// Returns how long the process runs by itself, and its exit code.
fn start(state: &mut State, id: &ContainerId, called_off: bool) -> Result<Option<(Duration, i32)>, RuntimeError> {
    let call = "StartContainer";
    let Some(index) = state.containers.iter().position(|c| c.id == id.as_str()) else {
        return not_found(call, id.as_str());
    };
    let (uid, name, attempt) = {
        let c = &state.containers[index];
        (c.uid().to_owned(), c.name().to_owned(), c.attempt())
    };
    if state.containers[index].run != Run::Created {
        return other(call, format!("container {id} is in another state than CONTAINER_CREATED"));
    }
    let home = &state.containers[index].sandbox;
    if !state.sandboxes.iter().any(|s| &s.id == home && s.ready) {
        return other(call, format!("sandbox {home} is not running"));
    }
    let overloaded = state.bears.is_some_and(|bears| state.starting > bears);
    if called_off || overloaded {
        let why = if called_off { "context canceled" } else { "runc create failed: unable to freeze" };
        let container = &mut state.containers[index];
        container.run = Run::Exited(START_ERROR);
        container.finished_at = Some(wall());
        container.message = format!("failed to create containerd task: {why}");
        return if called_off { Ok(None) } else { other(call, why.into()) };
    }
    if state.running().any(|c| c.uid() == uid && c.name() == name) {
        state.sins.push(format!("{name} runs twice"));
    }
    if !state.disk.is_ready(&uid) {
        state.sins.push(format!("{name} was started without its directories, volumes or cgroup"));
    }
    state.disk.log(&uid, &name, attempt);
    state.happened.push(format!("{name}#{attempt} started"));
    let container = &mut state.containers[index];
    container.run = Run::Running;
    container.started_at = Some(wall());
    state.hint(&RuntimeEvent::Container(id.clone()));
    Ok(state.programs.get(&name).copied().unwrap_or_default().ends)
}

fn remove_sandbox(state: &mut State, id: &SandboxId) -> Result<(), RuntimeError> {
    let call = "RemovePodSandbox";
    if state.sandboxes.iter().any(|s| s.id == id.as_str() && s.ready) {
        return other(call, format!("sandbox {id} is not fully stopped"));
    }
    if state.containers.iter().any(|c| c.sandbox == id.as_str() && state.stuck.contains(&c.id)) {
        return other(call, format!("a container of sandbox {id} cannot be removed"));
    }
    state.containers.retain(|c| c.sandbox != id.as_str());
    state.sandboxes.retain(|s| s.id != id.as_str());
    Ok(())
}

fn remove(state: &mut State, id: &ContainerId) -> Result<(), RuntimeError> {
    let call = "RemoveContainer";
    if state.stuck.contains(id.as_str()) {
        return other(call, format!("failed to delete task of {id}: context deadline exceeded"));
    }
    if state.running().any(|c| c.id == id.as_str()) {
        let what = label(state, id);
        state.sins.push(format!("{what} was to be removed while it ran"));
        return other(call, format!("container {id} is running"));
    }
    state.containers.retain(|c| c.id != id.as_str());
    Ok(())
}

#[async_trait]
impl RuntimeInfo for Life {
    async fn version(&self) -> Result<cri::VersionResponse, RuntimeError> {
        self.call("Version", "", async {
            let (runtime_name, runtime_version) = ("memory".into(), "1".into());
            Ok(cri::VersionResponse { runtime_name, runtime_version, ..cri::VersionResponse::default() })
        })
        .await
    }

    async fn status(&self) -> Result<cri::StatusResponse, RuntimeError> {
        self.call("Status", "", async {
            let condition =
                |name: &str| cri::RuntimeCondition { r#type: name.into(), status: true, ..Default::default() };
            let conditions = vec![condition("RuntimeReady"), condition("NetworkReady")];
            let status = Some(cri::RuntimeStatus { conditions });
            Ok(cri::StatusResponse { status, ..cri::StatusResponse::default() })
        })
        .await
    }

    async fn cgroup_driver(&self) -> Result<Option<CgroupDriver>, RuntimeError> {
        Ok(None)
    }

    async fn update_pod_cidr(&self, cidr: &str) -> Result<(), RuntimeError> {
        self.call("UpdateRuntimeConfig", cidr, async { Ok(()) }).await
    }

    fn events(&self) -> mpsc::Receiver<RuntimeEvent> {
        let (sender, receiver) = mpsc::channel(256);
        // The queue is new, so it has room.
        let _ = sender.try_send(RuntimeEvent::Resync);
        self.host.state().hints.push(sender);
        receiver
    }
}

#[async_trait]
impl RuntimeQueries for Life {
    async fn list_sandboxes(&self, pod: Option<&PodUid>) -> Result<Vec<cri::PodSandbox>, RuntimeError> {
        self.host.panic_about(pod.map_or("-", PodUid::as_str));
        self.call("ListPodSandbox", "", async {
            let state = self.host.state();
            let mine = state.sandboxes.iter().filter(|s| pod.is_none_or(|uid| uid.as_str() == s.uid()));
            Ok(mine.map(Sandbox::listed).collect())
        })
        .await
    }

    async fn sandbox_status(&self, id: &SandboxId) -> Result<cri::PodSandboxStatus, RuntimeError> {
        self.call("PodSandboxStatus", id.as_str(), async {
            let state = self.host.state();
            let found = state.sandboxes.iter().find(|s| s.id == id.as_str());
            found.map_or_else(|| not_found("PodSandboxStatus", id.as_str()), |s| Ok(s.status()))
        })
        .await
    }

    async fn list_containers(&self, pod: Option<&PodUid>) -> Result<Vec<cri::Container>, RuntimeError> {
        self.call("ListContainers", "", async {
            let state = self.host.state();
            let mine = state.containers.iter().filter(|c| pod.is_none_or(|uid| uid.as_str() == c.uid()));
            Ok(mine.map(Container::listed).collect())
        })
        .await
    }

    async fn container_status(&self, id: &ContainerId) -> Result<cri::ContainerStatus, RuntimeError> {
        let what = label(&self.host.state(), id);
        self.call("ContainerStatus", &what, async {
            let state = self.host.state();
            let found = state.containers.iter().find(|c| c.id == id.as_str());
            found.map_or_else(|| not_found("ContainerStatus", id.as_str()), |c| Ok(c.status()))
        })
        .await
    }
}

#[async_trait]
impl RuntimeLaunch for Life {
    async fn run_sandbox(&self, config: cri::PodSandboxConfig, _: &str) -> Result<SandboxId, RuntimeError> {
        self.call("RunPodSandbox", "", async { run_sandbox(&mut self.host.state(), config) }).await
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: cri::ContainerConfig,
        _: cri::PodSandboxConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let meta = config.metadata.clone().unwrap_or_default();
        let what = format!("{}#{}", meta.name, meta.attempt);
        self.call("CreateContainer", &what, async { create(&mut self.host.state(), sandbox, config) }).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let what = label(&self.host.state(), id);
        self.call("StartContainer", &what, async {
            tokio::time::sleep(self.host.starts_in(id)).await;
            let ends = start(&mut self.host.state(), id, self.is_dead())?;
            if let Some((after, code)) = ends {
                self.host.end_after(id.as_str(), after, code);
            }
            Ok(())
        })
        .await
    }

    async fn update_container_resources(
        &self,
        id: &ContainerId,
        resources: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError> {
        let call = "UpdateContainerResources";
        let what = label(&self.host.state(), id);
        self.call(call, &what, async {
            let mut state = self.host.state();
            let found = state.containers.iter_mut().find(|c| c.id == id.as_str());
            let container = found.map_or_else(|| not_found(call, id.as_str()), Ok)?;
            container.config.linux.get_or_insert_default().resources = Some(resources);
            Ok(())
        })
        .await
    }

    async fn update_sandbox_resources(
        &self,
        id: &SandboxId,
        _: cri::LinuxContainerResources,
        _: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError> {
        self.call("UpdatePodSandboxResources", id.as_str(), async { Ok(()) }).await
    }
}

#[async_trait]
impl RuntimeTeardown for Life {
    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        let what = label(&self.host.state(), id);
        self.call("StopContainer", &what, async {
            let heeds = {
                let mut state = self.host.state();
                let Some(container) = state.running().find(|c| c.id == id.as_str()) else { return Ok(()) };
                let heeds = state.programs.get(container.name()).copied().unwrap_or_default().heeds;
                state.happened.push(format!("{what} was told to end within {} s", grace.as_secs()));
                heeds
            };
            if let Some(after) = heeds {
                self.host.end_after(id.as_str(), after, TERMED);
            }
            if tokio::time::timeout(grace, self.host.ended(id.as_str())).await.is_err() && !self.is_dead() {
                self.host.state().end(id.as_str(), KILLED);
                self.host.changed.send_replace(());
            }
            Ok(())
        })
        .await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let what = label(&self.host.state(), id);
        self.call("RemoveContainer", &what, async { remove(&mut self.host.state(), id) }).await
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.call("StopPodSandbox", id.as_str(), async {
            self.host.state().stop_sandbox(id);
            self.host.changed.send_replace(());
            Ok(())
        })
        .await
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.call("RemovePodSandbox", id.as_str(), async { remove_sandbox(&mut self.host.state(), id) }).await
    }
}

#[async_trait]
impl ContainerStats for Life {
    async fn list_container_stats(&self) -> Result<Vec<cri::ContainerStats>, RuntimeError> {
        self.call("ListContainerStats", "", async { Ok(Vec::new()) }).await
    }
    async fn list_pod_sandbox_stats(&self) -> Result<Vec<cri::PodSandboxStats>, RuntimeError> {
        Ok(Vec::new())
    }
}
