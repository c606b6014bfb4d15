//! What is asked of the runtime for one pod: a call that was sent is carried to its end, whoever waits for it.
//!
//! A runtime whose caller leaves breaks its work off where it stands: a start ends as `StartError: context canceled`, a
//! process stays frozen, a name stays reserved. So each call that changes something is a task of its own. A pass may be
//! dropped at any moment: what it had sent goes on, what it had not sent is not sent, and [`Calls::settled`] tells when
//! the runtime may be looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::Shared;
use super::start_gate::{StartGate, Turn};
use crate::core::model::{ContainerId, Observed, PodUid, SandboxId};
use crate::core::start_limit::StartCall;
use crate::cri;
use crate::kubelet::pods::{HookCall, HookError, Hooks};
use crate::ports::kubelet::PodRuntime;
use crate::ports::node::RuntimeError;
use crate::telemetry::Metrics;
use crate::telemetry::panics::{Task, named};

/// The calls of one pod. They outlive its passes and a worker that panics.
#[derive(Clone)]
pub(super) struct Calls {
    runtime: Arc<dyn PodRuntime>,
    hooks: Arc<dyn Hooks>,
    starts: Arc<StartGate>,
    metrics: Arc<Metrics>,
    uid: PodUid,
    /// Calls under way that make, change or remove something.
    changes: TaskTracker,
    /// Containers whose preStop hook was begun, and whether it has ended.
    pre_stops: Arc<Mutex<BTreeMap<ContainerId, CancellationToken>>>,
    /// Sandboxes that were stopped and not removed yet.
    stopped: Arc<Mutex<BTreeSet<SandboxId>>>,
}

impl Calls {
    pub fn new(shared: &Shared, uid: PodUid) -> Self {
        let changes = TaskTracker::new();
        // Nobody counts on it to be closed later: it is settled whenever it is empty.
        changes.close();
        let (runtime, hooks) = (Arc::clone(&shared.ports.runtime), Arc::clone(&shared.ports.hooks));
        Self {
            runtime,
            hooks,
            starts: Arc::clone(&shared.starts),
            metrics: Arc::clone(shared.metrics()),
            uid,
            changes,
            pre_stops: Arc::default(),
            stopped: Arc::default(),
        }
    }

    /// Returns once no call is under way that changes something. Those that end containers do not count: they may take
    /// the whole grace, and a shorter one must overtake them.
    pub async fn settled(&self) {
        self.changes.wait().await;
    }

    pub async fn run_sandbox(
        &self,
        urgent: bool,
        config: cri::PodSandboxConfig,
        handler: &str,
    ) -> Result<SandboxId, RuntimeError> {
        let (handler, metrics) = (handler.to_owned(), Arc::clone(&self.metrics));
        let run = move |runtime: Arc<dyn PodRuntime>| async move {
            let began = Instant::now();
            let made = runtime.run_sandbox(config, &handler).await;
            metrics.run_sandbox.observe([&handler], began.elapsed());
            if made.is_err() {
                metrics.run_sandbox_errors.with([&handler]).inc();
            }
            made
        };
        self.begin(urgent, StartCall::Sandbox, run).await
    }

    pub async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let (id, stopped) = (id.clone(), Arc::clone(&self.stopped));
        let stop = move |runtime: Arc<dyn PodRuntime>| async move {
            runtime.stop_sandbox(&id).await?;
            lock(&stopped).insert(id);
            Ok(())
        };
        self.change(stop).await
    }

    /// Removes a sandbox, which is stopped before, for that frees its network. Each stop runs the network plugin, which is
    /// a tenth of what a pod's end costs: a sandbox that is known to be stopped is not stopped again.
    pub async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        if !lock(&self.stopped).contains(id) {
            self.stop_sandbox(id).await?;
        }
        let (id, stopped) = (id.clone(), Arc::clone(&self.stopped));
        let remove = move |runtime: Arc<dyn PodRuntime>| async move {
            runtime.remove_sandbox(&id).await?;
            lock(&stopped).remove(&id);
            Ok(())
        };
        self.change(remove).await
    }

    pub async fn create_container(
        &self,
        urgent: bool,
        sandbox: &SandboxId,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let sandbox = sandbox.clone();
        let create = move |runtime: Arc<dyn PodRuntime>| async move {
            runtime.create_container(&sandbox, config, sandbox_config).await
        };
        self.begin(urgent, StartCall::Create, create).await
    }

    pub async fn start_container(&self, urgent: bool, id: &ContainerId) -> Result<(), RuntimeError> {
        let id = id.clone();
        let start = move |runtime: Arc<dyn PodRuntime>| async move { runtime.start_container(&id).await };
        self.begin(urgent, StartCall::Start, start).await
    }

    /// Asks for the end of a container within `grace`. Not awaited by [`settled`](Self::settled).
    pub async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        let (runtime, id) = (Arc::clone(&self.runtime), id.clone());
        answer(tokio::spawn(self.named(async move { runtime.stop_container(&id, grace).await }))).await
    }

    pub async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let id = id.clone();
        self.change(move |runtime| async move { runtime.remove_container(&id).await }).await
    }

    pub async fn update_container_resources(
        &self,
        id: &ContainerId,
        resources: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError> {
        let id = id.clone();
        self.change(move |runtime| async move { runtime.update_container_resources(&id, resources).await }).await
    }

    pub async fn update_sandbox_resources(
        &self,
        id: &SandboxId,
        overhead: cri::LinuxContainerResources,
        resources: cri::LinuxContainerResources,
    ) -> Result<(), RuntimeError> {
        let id = id.clone();
        let update = move |runtime: Arc<dyn PodRuntime>| async move {
            runtime.update_sandbox_resources(&id, overhead, resources).await
        };
        self.change(update).await
    }

    /// Runs a postStart hook. It goes on when nobody waits for it any more, until its container ends.
    pub async fn post_start(&self, call: HookCall) -> Result<(), HookError> {
        let hooks = Arc::clone(&self.hooks);
        answer(tokio::spawn(self.named(async move { hooks.run(call).await }))).await
    }

    /// Runs a preStop hook, once for each container, and returns when it has ended. It goes on when nobody waits for it
    /// any more, until its container ends (upstream `executePreStopHook`); `failed` is told of its error even then.
    pub async fn pre_stop(&self, call: HookCall, observed: &Observed, failed: impl FnOnce(HookError) + Send + 'static) {
        let (ended, is_first) = {
            let mut begun = lock(&self.pre_stops);
            begun.retain(|id, _| observed.by_id(id).is_some());
            let is_first = !begun.contains_key(&call.id);
            (begun.entry(call.id.clone()).or_default().clone(), is_first)
        };
        if is_first {
            let (hooks, end) = (Arc::clone(&self.hooks), ended.clone().drop_guard());
            drop(tokio::spawn(self.named(async move {
                let _end = end;
                if let Err(error) = hooks.run(call).await {
                    failed(error);
                }
            })));
        }
        ended.cancelled().await;
    }

    /// A change that belongs to a start: it waits for its turn before it is sent.
    async fn begin<T, F>(
        &self,
        urgent: bool,
        kind: StartCall,
        call: impl FnOnce(Arc<dyn PodRuntime>) -> F,
    ) -> Result<T, RuntimeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RuntimeError>> + Send + 'static,
    {
        let place = self.starts.enter(Turn { ordinary: !urgent, call: kind }).await;
        self.change(|runtime| place.of(call(runtime))).await
    }

    async fn change<T, F>(&self, call: impl FnOnce(Arc<dyn PodRuntime>) -> F) -> Result<T, RuntimeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RuntimeError>> + Send + 'static,
    {
        answer(self.changes.spawn(self.named(call(Arc::clone(&self.runtime))))).await
    }

    fn named<F: Future>(&self, call: F) -> impl Future<Output = F::Output> + use<F> {
        named(Task::of("runtime call", self.uid.as_str()), call)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The call's answer, or its panic.
async fn answer<T>(call: JoinHandle<T>) -> T {
    match call.await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends, and with it whoever waits.
            Err(_) => std::future::pending().await,
        },
    }
}
