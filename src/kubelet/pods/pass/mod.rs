//! One pass of a worker: executes the actions of a plan in order. It contains no policy.
//!
//! A pass runs in a task beside its worker, which keeps observing; what the worker needs to know meanwhile is sent as
//! [`Progress`]. A cancelled pass sends no more calls; calls in progress are awaited (see [`Calls`]).

mod outcome;
mod sandbox;
mod start_container;
mod start_counts;
mod stop_containers;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::start_counts::StartCounts;
use super::calls::Calls;
use super::context::Shared;
use crate::core::model::{
    ContainerId, ContainerKind, MountedVolume, Observed, PodKill, PodUid, SandboxId, is_critical, with_causes,
};
use crate::core::plan::{Action, is_host_network};
use crate::core::render::{self, NodeContext, PodContext};
use crate::core::status::sort_pod_ips;
use crate::cri;
use crate::ports::kubelet::{EventKind, EventTarget, VolumeError};
use crate::supervise::caught;
use crate::telemetry::panics::Task;

pub use self::outcome::{Dropped, PassEnd, Progress};

/// The sandbox in which containers are started.
#[derive(Clone, Debug)]
struct SandboxRef {
    id: SandboxId,
    attempt: u32,
    ips: Vec<String>,
}

/// What a pass has prepared for the containers.
#[derive(Default)]
struct Prepared {
    sandbox: Option<SandboxRef>,
    /// The configuration of a sandbox that was created by this pass.
    sandbox_config: Option<cri::PodSandboxConfig>,
    cgroup_parent: String,
    volumes: BTreeMap<String, MountedVolume>,
    user_namespace: Option<cri::UserNamespace>,
}

/// Records that could not be removed.
#[derive(Default)]
struct LeftRecords {
    /// For names with a remaining record: the lowest restart count under which a container can be created.
    free: BTreeMap<String, u32>,
    /// Why a record could not be removed.
    error: Option<String>,
}

/// The state of one pass.
pub(super) struct Pass {
    shared: Arc<Shared>,
    calls: Calls,
    /// The node's context when the pass began.
    node: Arc<NodeContext>,
    uid: PodUid,
    pod: Arc<Pod>,
    is_static: bool,
    observed: Observed,
    progress: mpsc::UnboundedSender<Progress>,
    prepared: Prepared,
    left: LeftRecords,
}

impl Pass {
    /// A pass for a pod in the observed state.
    pub fn new(
        shared: Arc<Shared>,
        calls: Calls,
        uid: PodUid,
        pod: Arc<Pod>,
        is_static: bool,
        observed: Observed,
        progress: mpsc::UnboundedSender<Progress>,
    ) -> Self {
        let node = Arc::clone(&shared.ports.node.borrow());
        let (prepared, left) = (Prepared::default(), LeftRecords::default());
        Self { shared, calls, node, uid, pod, is_static, observed, progress, prepared, left }
    }

    /// Executes the actions until all are done, one fails, or `off` is cancelled, and then waits for calls in progress,
    /// so that the runtime can be observed afterwards.
    pub async fn execute(self, task: Task, actions: Vec<Action>, off: CancellationToken) -> PassEnd {
        let calls = self.calls.clone();
        let ended = off.run_until_cancelled(caught(task, self.run(actions))).await;
        calls.settled().await;
        match ended {
            Some(Ok(ran)) => PassEnd::Ran(ran),
            Some(Err(panicked)) => PassEnd::Panicked(panicked),
            None => PassEnd::CalledOff,
        }
    }

    /// Executes the actions in order; stops at the first failure on which the rest depends.
    async fn run(mut self, actions: Vec<Action>) -> Result<(), Dropped> {
        let creates = actions.iter().any(|a| matches!(a, Action::CreateSandbox { .. }));
        let mut counts = StartCounts::begin(&self.shared.ports.instruments.metrics, &self.pod, creates);
        let starts = actions.iter().any(|a| matches!(a, Action::Start(_) | Action::CreateSandbox { .. }));
        if starts {
            self.adopt_sandbox();
            self.prepare().await.inspect_err(|_| counts.pod_failed())?;
        }
        if starts && !creates {
            self.set_up_volumes().await?;
        }
        // A container that could not be killed may be running: another one of its name must not be started.
        let mut killed = Ok(());
        for action in actions {
            tracing::debug!(%action, "execute");
            if !matches!(action, Action::StopSandboxes(_)) {
                killed.clone().map_err(Dropped::Failed)?;
            }
            match action {
                Action::Kill(kills) => killed = self.stop_containers(kills).await,
                Action::Remove(ids) => self.remove(&ids).await,
                Action::StopSandboxes(ids) => {
                    self.stop_sandboxes(&ids).await?;
                    // Everything that ran in them has exited.
                    killed = Ok(());
                }
                Action::RemoveSandboxes(ids) => self.remove_sandboxes(&ids).await,
                Action::CreateSandbox { attempt } => {
                    self.create_sandbox(attempt).await.inspect_err(|_| counts.pod_failed())?;
                }
                Action::SizePod(pod) => self.size_pod(&pod).await?,
                Action::Update { id, name, resources, shrinks_memory } => {
                    self.update(&id, &name, *resources, shrinks_memory).await?;
                }
                Action::Start(mut start) => {
                    let free = self.left.free.get(&start.name).copied().unwrap_or_default();
                    start.attempt = start.attempt.map(|attempt| attempt.max(free));
                    let (name, kind) = (start.name.clone(), start.kind);
                    let started = self.start_container(start).await;
                    let waits = started.as_ref().err().cloned();
                    counts.container(kind, waits.as_ref());
                    self.report(Progress::Waiting(name.clone(), waits));
                    self.report(Progress::Changed);
                    if started.is_err() && kind == ContainerKind::Init {
                        return Err(Dropped::Init(name));
                    }
                    continue;
                }
            }
            self.report(Progress::Changed);
        }
        killed.map_err(Dropped::Failed)?;
        self.left.error.map_or(Ok(()), |left| Err(Dropped::Records(left)))
    }

    /// True if other pods may depend on this one: it gets the first turn at the runtime.
    fn is_urgent(&self) -> bool {
        self.is_static || is_critical(&self.pod) || is_host_network(&self.pod)
    }

    fn report(&self, progress: Progress) {
        // The worker may have exited; then nobody needs to know.
        let _ = self.progress.send(progress);
    }

    fn warn(&self, reason: &str, message: String) {
        self.shared.ports.events.record(EventTarget::Pod(&self.pod), EventKind::Warning, reason, message);
    }

    fn context(&self) -> PodContext<'_> {
        PodContext {
            pod: &self.pod,
            cgroup_parent: &self.prepared.cgroup_parent,
            pod_ips: self.prepared.sandbox.as_ref().map(|h| h.ips.as_slice()).unwrap_or_default(),
            volumes: &self.prepared.volumes,
            user_namespace: self.prepared.user_namespace.as_ref(),
            recursive_read_only: self.shared.facts.recursive_read_only(&self.pod),
        }
    }

    fn adopt_sandbox(&mut self) {
        if let Some(sandbox) = self.observed.sandbox().filter(|s| s.ready) {
            let ips = sort_pod_ips(&sandbox.ips, &self.node.host_ips);
            self.prepared.sandbox = Some(SandboxRef { id: sandbox.id.clone(), attempt: sandbox.attempt, ips });
        }
    }

    /// What sandbox and containers both need: directories and the pod's cgroup.
    async fn prepare(&mut self) -> Result<(), Dropped> {
        self.shared.ports.objects.register(&self.pod);
        let (dirs, cgroup) =
            tokio::join!(self.shared.ports.files.make_pod_dirs(&self.pod), self.shared.ports.cgroups.ensure(&self.pod));
        if let Err(error) = dirs {
            let message = format!("error making pod data directories: {error}");
            self.warn("FailedToMakePodDataDirectories", message.clone());
            return Err(Dropped::Failed(message));
        }
        match cgroup {
            Ok(cgroup) => self.prepared.cgroup_parent = cgroup.parent,
            Err(error) => {
                let message = format!("unable to ensure pod container exists: {error}");
                self.warn("FailedCreatePodContainer", message.clone());
                return Err(Dropped::Failed(message));
            }
        }
        self.prepared.user_namespace =
            self.ensure_user_namespace().await.map_err(|error| self.sandbox_failed(&error))?;
        Ok(())
    }

    async fn set_up_volumes(&mut self) -> Result<(), Dropped> {
        match self.shared.ports.volumes.set_up(&self.pod).await {
            Ok(volumes) => {
                self.prepared.volumes = volumes;
                self.report(Progress::VolumesReady);
                Ok(())
            }
            Err(errors) => Err(self.volumes_failed(&errors)),
        }
    }

    fn volumes_failed(&self, errors: &[VolumeError]) -> Dropped {
        errors.iter().for_each(|error| self.warn("FailedMount", error.to_string()));
        let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        if !errors.iter().any(|error| error.attach_limit) {
            return Dropped::Failed(text);
        }
        // As upstream (`VolumeAttachmentLimitExceededReason`): the pod's controller creates another one for another
        // node.
        let (reason, text) = (
            "VolumeAttachmentLimitExceeded",
            format!("Node has reached its volume attachment limit, rejecting pod. {text}"),
        );
        self.warn(reason, text.clone());
        let (reason, message) = (reason.to_owned(), format!("Pod was rejected: {text}"));
        Dropped::Rejected(PodKill { reason, message, grace_seconds: None, disruption: None })
    }

    /// Creates the sandbox while the volumes are set up.
    async fn create_sandbox(&mut self, attempt: u32) -> Result<(), Dropped> {
        self.wait_for_network().await?;
        let node = self.with_resolver().await.map_err(|error| self.sandbox_failed(&error))?;
        let rendered = render::sandbox(&node, &self.context(), attempt);
        let rendered = rendered.map_err(|error| self.sandbox_failed(&error.to_string()))?;
        for warning in rendered.warnings {
            self.warn(warning.reason, warning.message);
        }
        let handler = self.runtime_handler().await.map_err(|e| self.sandbox_failed(&e))?;
        let made = {
            let sandbox = self.calls.run_sandbox(self.is_urgent(), rendered.config.clone(), &handler);
            let volumes = self.shared.ports.volumes.set_up(&self.pod);
            let made = async {
                let id = sandbox.await?;
                self.shared.table.note_id(id.as_str(), &self.uid);
                self.report(Progress::Changed);
                self.shared.ports.runtime.sandbox_status(&id).await
            };
            tokio::join!(made, volumes)
        };
        let (made, volumes) = made;
        let status = made.map_err(|error| {
            self.shared.facts.forget_network();
            self.sandbox_failed(&error.to_string())
        })?;
        let network = status.network.unwrap_or_default();
        let ips = std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|ip| ip.ip));
        let ips: Vec<_> = ips.filter(|ip| !ip.is_empty()).collect();
        let ips = sort_pod_ips(&ips, &self.node.host_ips);
        self.prepared.sandbox = Some(SandboxRef { id: SandboxId::from(&status.id), attempt, ips });
        self.prepared.sandbox_config = Some(rendered.config);
        match volumes {
            Ok(volumes) => {
                self.prepared.volumes = volumes;
                self.report(Progress::VolumesReady);
                Ok(())
            }
            Err(errors) => Err(self.volumes_failed(&errors)),
        }
    }

    fn sandbox_failed(&self, error: &str) -> Dropped {
        let message = format!("Failed to create pod sandbox: {error}");
        self.warn("FailedCreatePodSandBox", message.clone());
        Dropped::Failed(message)
    }

    /// The runtime is updated first, because it may refuse.
    async fn size_pod(&self, pod: &Pod) -> Result<(), Dropped> {
        let failed = |error: String| Dropped::Resize(error);
        if let Some(sandbox) = self.observed.sandbox().filter(|s| s.ready) {
            let overhead = render::resources::overhead_resources(&self.node, pod);
            let resources = render::resources::sandbox_resources(&self.node, pod);
            let told = self.calls.update_sandbox_resources(&sandbox.id, overhead, resources).await;
            told.map_err(|error| failed(error.to_string()))?;
        }
        self.shared.ports.cgroups.ensure(pod).await.map(|_| ()).map_err(|error| failed(error.to_string()))
    }

    async fn update(
        &self,
        id: &ContainerId,
        name: &str,
        resources: cri::LinuxContainerResources,
        shrinks_memory: bool,
    ) -> Result<(), Dropped> {
        if shrinks_memory {
            let stats = self.shared.ports.runtime.list_container_stats().await.unwrap_or_default();
            let mine = stats.into_iter().find(|s| s.attributes.as_ref().is_some_and(|a| a.id == id.as_str()));
            let used = mine.and_then(|s| s.memory?.usage_bytes).map_or(0, |u| u.value);
            let limit = resources.memory_limit_in_bytes;
            if i64::try_from(used).unwrap_or(i64::MAX) > limit {
                let message =
                    format!("attempting to set container {name:?} memory limit ({limit}) below current usage ({used})");
                return Err(Dropped::Resize(message));
            }
        }
        let updated = self.calls.update_container_resources(id, resources).await;
        self.report(Progress::Resized);
        updated.map_err(|error| Dropped::Resize(format!("failed to update resources of container {name:?}: {error}")))
    }

    async fn remove(&mut self, ids: &[ContainerId]) {
        let removed = join_all(ids.iter().map(|id| self.calls.remove_container(id))).await;
        for (id, removed) in ids.iter().zip(removed) {
            let record = self.observed.by_id(id);
            match (removed, record) {
                (Err(error), record) => {
                    tracing::warn!(error = with_causes(&error), container = %id, "a container record could not be removed");
                    self.left.error = Some(error.to_string());
                    // Its name stays reserved in the runtime, with this number.
                    if let Some(record) = record {
                        let free = self.left.free.entry(record.name.clone()).or_default();
                        *free = record.attempt.saturating_add(1).max(*free);
                    }
                }
                (Ok(()), None) => {}
                (Ok(()), Some(record)) => {
                    if let Err(error) =
                        self.shared.ports.files.remove_log(&self.pod, &record.name, id, record.attempt).await
                    {
                        tracing::debug!(error = with_causes(&error), container = %id, "the log of a removed record is still there");
                    }
                }
            }
        }
    }

    async fn stop_sandboxes(&self, ids: &[SandboxId]) -> Result<(), Dropped> {
        let stopped = join_all(ids.iter().map(|id| self.calls.stop_sandbox(id))).await;
        match stopped.into_iter().find_map(Result::err) {
            None => Ok(()),
            Some(error) => {
                let message = format!("error killing pod: {error}");
                self.warn("FailedKillPod", message.clone());
                Err(Dropped::Failed(message))
            }
        }
    }

    async fn remove_sandboxes(&mut self, ids: &[SandboxId]) {
        for id in ids {
            if let Err(error) = self.calls.remove_sandbox(id).await {
                tracing::warn!(error = with_causes(&error), sandbox = %id, "a sandbox could not be removed");
                self.left.error = Some(error.to_string());
            }
        }
    }
}
