//! Registers the node and maintains its status from machine and runtime; also provides the context for rendering pods.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use rand::RngExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::register::{register, withdraw_devices};
use crate::core::admission::Pressure;
use crate::core::model::time::{Moment, scaled};
use crate::core::model::{KubeletSpec, MachineFacts, with_causes};
use crate::core::node::{
    Health, NodeInputs, NodeStartup, PATIENCE, RuntimeHealth, RuntimeView, derive_addresses, derive_node,
    derive_status, name_to_look_up, render_metadata_patch, render_status_patch, was_ready,
};
use crate::core::render::NodeContext;
use crate::ports::kubelet::{EventKind, EventTarget, Events, Machine, NodeApi, RuntimeInfo};
use crate::ports::node::{ApiError, ImageService};
use crate::telemetry::Metrics;

/// Interval of checks while the node is not ready.
const EAGER: Duration = Duration::from_millis(250);
/// How long the runtime may take to respond before the node is registered without it.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// Interval of listing images for the status.
const IMAGES: Duration = Duration::from_secs(60);

/// Inputs and outputs of the node's status.
pub struct NodeReporter {
    pub spec: Arc<KubeletSpec>,
    /// The API; `None` in standalone mode.
    pub api: Option<Arc<dyn NodeApi>>,
    pub runtime: Arc<dyn RuntimeInfo>,
    pub images: Arc<dyn ImageService>,
    pub machine: Arc<dyn Machine>,
    /// For events about the node.
    pub events: Arc<dyn Events>,
    pub pressure: watch::Receiver<Pressure>,
    /// Volumes that must not be detached from the node.
    pub volumes_in_use: watch::Receiver<BTreeSet<String>>,
    /// True during a node shutdown.
    pub shutting_down: watch::Receiver<bool>,
    /// The current Node, for admission and others.
    pub node: watch::Sender<Arc<Node>>,
    /// Uid of the Node, once registered.
    pub node_uid: watch::Sender<Option<String>>,
    /// The node's part of the input for rendering pods.
    pub context: watch::Sender<Arc<NodeContext>>,
    /// When the node started.
    pub startup: NodeStartup,
    /// Shows how long that took.
    pub metrics: Arc<Metrics>,
}

struct Seen {
    machine: MachineFacts,
    runtime: RuntimeView,
    runtime_health: RuntimeHealth,
    /// When the kubelet started to check.
    begun: Instant,
    health: Health,
    images_at: Option<Instant>,
    volumes_in_use: BTreeSet<String>,
}

impl NodeReporter {
    pub async fn run(&mut self, stop: CancellationToken) {
        stop.run_until_cancelled(async { self.work().await }).await;
    }

    async fn work(&mut self) {
        let mut seen = Seen {
            machine: self.machine.observe(name_to_look_up(&self.spec)).await,
            runtime: RuntimeView::default(),
            runtime_health: RuntimeHealth::default(),
            begun: Instant::now(),
            health: Health::default(),
            images_at: None,
            volumes_in_use: BTreeSet::new(),
        };
        // A stopped runtime must not delay the node's lease, which starts after registration.
        if timeout(FIRST_LOOK, self.observe(&mut seen)).await.is_err() {
            let silence = Some("the runtime has not answered yet");
            seen.health.faults = seen.runtime_health.faults(silence, seen.begun.elapsed());
        }
        self.tell_locally(&seen);
        let Some(api) = self.api.clone() else { return self.stay_local(seen).await };
        self.startup.attempt(Timestamp::now());
        let (node, is_new) =
            register(&*api, self.spec.node.register, || derive_node(&self.inputs(&seen, &NodeStatus::default()))).await;
        self.show_registration(is_new);
        self.note_reboot(&node, &seen);
        let node = withdraw_devices(&*api, node).await;
        let mut pod_cidr = String::new();
        let uid = node.metadata.uid.clone();
        self.take(node, &mut pod_cidr).await;
        // Last, because pods of the API are admitted from here on.
        self.node_uid.send_replace(uid);
        while seen.runtime_health.is_unknown()
            && seen.begun.elapsed() < PATIENCE
            && was_ready(&self.node.borrow(), &seen.machine.boot_id)
        {
            sleep(EAGER).await;
            self.observe(&mut seen).await;
        }
        let mut due = Instant::now();
        let mut was_ready = None;
        loop {
            self.observe(&mut seen).await;
            match self.restore_metadata(&*api, &seen).await {
                Ok(Some(node)) => self.take(node, &mut pod_cidr).await,
                Ok(None) => {}
                Err(error) => debug!(error = with_causes(&error), "node labels not restored"),
            }
            let heartbeat = Instant::now() >= due;
            match self.send(&*api, &seen, heartbeat).await {
                Ok(Some(node)) => {
                    due = Instant::now().later(jittered(self.spec.node.status_report));
                    self.take(node, &mut pod_cidr).await;
                }
                Ok(None) => {}
                Err(error) => {
                    debug!(error = with_causes(&error), "node status not sent");
                    sleep(EAGER).await;
                }
            }
            self.tell_locally(&seen);
            let ready = seen.health.faults.is_empty();
            if was_ready != Some(ready) {
                self.announce(ready, &seen.health);
                was_ready = Some(ready);
            }
            if ready {
                self.show_readiness();
            }
            let next = Instant::now().later(if ready { self.spec.node.status_update } else { EAGER });
            tokio::select! {
                () = sleep_until(next) => {}
                Ok(()) = self.pressure.changed() => {}
                Ok(()) = self.shutting_down.changed() => {}
                // The control plane should know that it must not detach a volume before it is mounted.
                Ok(()) = self.volumes_in_use.changed() => {}
                () = api.changed() => {
                    // Labels, taints, addresses or the pod CIDR may have been changed by others.
                    if let Ok(node) = api.get().await {
                        self.take(node, &mut pod_cidr).await;
                    }
                }
            }
        }
    }

    /// Without an API server only the context is updated.
    async fn stay_local(&mut self, mut seen: Seen) {
        let cidr = self.spec.node.pod_cidr.clone();
        if !cidr.is_empty() {
            self.give_cidr(&cidr).await;
        }
        loop {
            sleep(self.spec.node.status_update).await;
            self.observe(&mut seen).await;
            self.tell_locally(&seen);
        }
    }

    fn inputs<'a>(&'a self, seen: &'a Seen, old: &'a NodeStatus) -> NodeInputs<'a> {
        NodeInputs {
            spec: &self.spec,
            machine: &seen.machine,
            runtime: &seen.runtime,
            health: &seen.health,
            volumes_in_use: &seen.volumes_in_use,
            old,
            now: Timestamp::now(),
        }
    }

    async fn observe(&self, seen: &mut Seen) {
        seen.machine = self.machine.observe(name_to_look_up(&self.spec)).await;
        let now = seen.begun.elapsed();
        let silence = match self.runtime.status().await {
            Ok(status) => {
                seen.runtime_health.answer(&status, now);
                seen.runtime.handlers = status.runtime_handlers;
                seen.runtime.features = status.features;
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let mut faults = seen.runtime_health.faults(silence.as_deref(), now);
        if seen.runtime.version.is_empty()
            && let Ok(version) = self.runtime.version().await
        {
            let text = version.runtime_version.trim_start_matches('v');
            seen.runtime.version = format!("{}://{text}", version.runtime_name);
        }
        if *self.shutting_down.borrow() {
            faults.push("node is shutting down".into());
        }
        seen.volumes_in_use.clone_from(&self.volumes_in_use.borrow());
        seen.health = Health { pressure: *self.pressure.borrow(), faults };
        if seen.images_at.is_none_or(|at| at.elapsed() >= IMAGES)
            && let Ok(images) = self.images.list_images().await
        {
            seen.runtime.images = images;
            seen.images_at = Some(Instant::now());
        }
    }

    /// Restores metadata of the Node that others removed.
    async fn restore_metadata(&self, api: &dyn NodeApi, seen: &Seen) -> Result<Option<Node>, ApiError> {
        let known = Arc::clone(&self.node.borrow());
        let wanted = derive_node(&self.inputs(seen, known.status.as_ref().unwrap_or(&NodeStatus::default())));
        match render_metadata_patch(&known, &wanted) {
            Some(patch) => api.patch(&patch).await.map(Some),
            None => Ok(None),
        }
    }

    async fn send(&self, api: &dyn NodeApi, seen: &Seen, heartbeat: bool) -> Result<Option<Node>, ApiError> {
        let known = self.node.borrow().clone();
        let old = known.status.clone().unwrap_or_default();
        let new = derive_status(&self.inputs(seen, &old));
        let Some(patch) = render_status_patch(&old, &new, heartbeat) else { return Ok(None) };
        match api.patch_status(&patch).await {
            Ok(node) => Ok(Some(node)),
            Err(ApiError::NotFound(_)) => {
                // The Node was deleted concurrently.
                warn!("the node object is gone; registering again");
                let (node, _) =
                    register(api, self.spec.node.register, || derive_node(&self.inputs(seen, &NodeStatus::default())))
                        .await;
                self.node_uid.send_replace(node.metadata.uid.clone());
                Ok(Some(node))
            }
            Err(error) => Err(error),
        }
    }

    /// Records the Node as the API has it.
    async fn take(&self, mut node: Node, pod_cidr: &mut String) {
        node.metadata.managed_fields = None;
        let spec = node.spec.as_ref();
        let cidrs = spec.and_then(|s| s.pod_cidrs.clone()).unwrap_or_default().join(",");
        if !cidrs.is_empty() && cidrs != *pod_cidr && self.give_cidr(&cidrs).await {
            *pod_cidr = cidrs;
        }
        self.node.send_replace(Arc::new(node));
    }

    async fn give_cidr(&self, cidr: &str) -> bool {
        match self.runtime.update_pod_cidr(cidr).await {
            Ok(()) => {
                info!(cidr, "pod CIDR configured in the runtime");
                true
            }
            Err(error) => {
                warn!(cidr, error = with_causes(&error), "pod CIDR rejected by the runtime");
                false
            }
        }
    }

    /// Updates the context for rendering, and in standalone mode the Node for admission.
    fn tell_locally(&self, seen: &Seen) {
        let api_node = self.node.borrow().clone();
        let registered = api_node.metadata.uid.is_some();
        let local = derive_node(&self.inputs(seen, api_node.status.as_ref().unwrap_or(&NodeStatus::default())));
        let mut host_ips = derive_addresses(&self.spec, &seen.machine);
        if self.spec.node.external_cloud {
            let status = api_node.status.as_ref();
            let given = status.and_then(|s| s.addresses.as_ref()).into_iter().flatten();
            host_ips = given.filter(|a| a.type_ == "InternalIP").filter_map(|a| a.address.parse().ok()).collect();
        }
        let allocatable = local.status.as_ref().and_then(|s| s.allocatable.clone()).unwrap_or_default();
        self.context.send_if_modified(|context| {
            let changed = context.host_ips != host_ips || context.allocatable != allocatable;
            if changed {
                *context = Arc::new(NodeContext { host_ips, allocatable, ..(**context).clone() });
            }
            changed
        });
        if !registered {
            self.node.send_replace(Arc::new(local));
        }
    }

    fn note_reboot(&self, node: &Node, seen: &Seen) {
        let before = node.status.as_ref().and_then(|s| s.node_info.as_ref()).map(|i| i.boot_id.as_str());
        let now = seen.machine.boot_id.as_str();
        if before.is_some_and(|before| !before.is_empty() && before != now) {
            let message = format!("Node {} has been rebooted, boot id: {now}", self.spec.node_name);
            self.events.record(EventTarget::Node, EventKind::Warning, "Rebooted", message);
        }
    }

    fn announce(&self, ready: bool, health: &Health) {
        let (kind, reason) = if ready { (EventKind::Normal, "NodeReady") } else { (EventKind::Normal, "NodeNotReady") };
        info!(ready, faults = ?health.faults, "node readiness");
        let message = format!("Node {} status is now: {reason}", self.spec.node_name);
        self.events.record(EventTarget::Node, kind, reason, message);
    }
}

/// Half to one and a half times `period`, so that nodes do not report simultaneously.
fn jittered(period: Duration) -> Duration {
    scaled(period, rand::rng().random_range(0.5..1.5))
}
