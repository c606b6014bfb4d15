//! Calls to the runtime for one pod: a call that was sent is completed, whether or not somebody waits for it.
//!
//! A runtime aborts its work when the caller disconnects: a start fails as `StartError: context canceled`, a process
//! stays frozen, a name stays reserved. So each call that changes something is a task of its own. A pass may be dropped
//! at any time: calls that it has sent complete, others are not sent, and [`Calls::settled`] returns when the runtime
//! can be observed again.

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

/// The calls of one pod. They outlive its passes and a panicked worker.
#[derive(Clone)]
pub(super) struct Calls {
    runtime: Arc<dyn PodRuntime>,
    hooks: Arc<dyn Hooks>,
    starts: Arc<StartGate>,
    metrics: Arc<Metrics>,
    uid: PodUid,
    /// Calls in progress that create, change or remove something.
    changes: TaskTracker,
    /// Containers whose preStop hook was started, and whether it has finished.
    pre_stops: Arc<Mutex<BTreeMap<ContainerId, CancellationToken>>>,
    /// Sandboxes that were stopped but not removed yet.
    stopped: Arc<Mutex<BTreeSet<SandboxId>>>,
}

impl Calls {
    pub fn new(shared: &Shared, uid: PodUid) -> Self {
        let changes = TaskTracker::new();
        // Closed from the start, so that it completes whenever it is empty.
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

    /// Returns when no changing call is in progress. Calls that stop containers are not counted: they may take the
    /// whole grace period, and a shorter one must be able to overtake them.
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

    /// Removes a sandbox, after stopping it to release its network. Each stop runs the network plugin, which is a tenth
    /// of the cost of terminating a pod, so a sandbox that is known to be stopped is not stopped again.
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

    /// Stops a container within `grace`. Not awaited by [`settled`](Self::settled).
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

    /// Runs a postStart hook. It continues if nobody waits for it any more, until its container exits.
    pub async fn post_start(&self, call: HookCall) -> Result<(), HookError> {
        let hooks = Arc::clone(&self.hooks);
        answer(tokio::spawn(self.named(async move { hooks.run(call).await }))).await
    }

    /// Runs a preStop hook, once for each container, and returns when it has finished. It continues if nobody waits for
    /// it any more, until its container exits (upstream `executePreStopHook`); its error is passed to `failed` even
    /// then.
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

    /// A changing call of a container start: it waits for its turn before it is sent.
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

/// The result of the call, or its panic.
async fn answer<T>(call: JoinHandle<T>) -> T {
    match call.await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and with it whoever waits.
            Err(_) => std::future::pending().await,
        },
    }
}
