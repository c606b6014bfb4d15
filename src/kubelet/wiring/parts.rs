//! Parts that only some kubelets have, or that are a few lines each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeStatus, Pod, PodStatus};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::adapters::cri::Cri;
use crate::adapters::csi::{AttachLimits, CsiVolumes, Drivers, Registrar};
use crate::core::model::{DesiredSet, KubeletSpec, MachineFacts, PodUid, SourceKind, with_causes};
use crate::core::node::{Health, NodeInputs, RuntimeView, derive_node};
use crate::core::render::{check_resolv_conf, parse_resolv_conf};
use crate::kubelet::logs::{RotationSettings, rotate_logs};
use crate::kubelet::pods::Liveness;
use crate::kubelet::pods::PodTable;
use crate::kubelet::pods::StatusSink;
use crate::offload::Lanes;
use crate::ports::kubelet::{EventKind, EventTarget, Events, NameFiles, Objects, StorageApi};
use crate::supervise::{restarting, spawn, vital};
use crate::telemetry::Metrics;

/// How long the process waits for calls in progress before it exits. A sandbox takes a second or two.
pub const LAST_CALLS: Duration = Duration::from_secs(10);

/// Discards the statuses of a standalone kubelet.
pub struct NoStatuses;

impl StatusSink for NoStatuses {
    fn publish(&self, _: &Arc<Pod>, _: bool, _: &Arc<PodStatus>) {}
    fn finished(&self, _: &Arc<Pod>, _: bool) {}
    fn forget(&self, _: &PodUid) {}
}

/// The node before runtime and API server responded, from the machine alone: static pods are admitted by it.
pub fn unseen_node(spec: &KubeletSpec, machine: &MachineFacts) -> Node {
    derive_node(&NodeInputs {
        spec,
        machine,
        runtime: &RuntimeView::default(),
        health: &Health::default(),
        volumes_in_use: &BTreeSet::new(),
        old: &NodeStatus::default(),
        now: Timestamp::now(),
    })
}

/// A sender that records the static pods on their way to the table, for mirror pods; all `sources` combined, once each
/// has reported.
pub fn tap_statics(
    desired: mpsc::Sender<DesiredSet>,
    statics: watch::Sender<Option<Vec<Arc<Pod>>>>,
    sources: BTreeSet<SourceKind>,
    stop: CancellationToken,
) -> mpsc::Sender<DesiredSet> {
    let (sender, mut receiver) = mpsc::channel::<DesiredSet>(4);
    vital("static pods on their way", &stop.clone(), async move {
        let mut known: BTreeMap<SourceKind, Vec<Arc<Pod>>> = BTreeMap::new();
        loop {
            let set = tokio::select! {
                () = stop.cancelled() => return,
                set = receiver.recv() => set,
            };
            let Some(set) = set else { return };
            known.insert(set.source, set.pods.iter().map(|pod| Arc::clone(&pod.pod)).collect());
            if sources.iter().all(|source| known.contains_key(source)) {
                statics.send_replace(Some(known.values().flatten().cloned().collect()));
            }
            if desired.send(set).await.is_err() {
                return;
            }
        }
    });
    sender
}

/// Tells once, as upstream, what pods will not get of the node's resolver.
pub fn tell_resolver_limits(spec: &Arc<KubeletSpec>, names: &Arc<dyn NameFiles>, events: &Arc<dyn Events>) {
    let (spec, names, events) = (Arc::clone(spec), Arc::clone(names), Arc::clone(events));
    spawn("limits of the resolver", async move {
        let fault = match names.resolv_conf().await {
            Ok(None) => None,
            Ok(Some(text)) => match parse_resolv_conf(&text) {
                Ok(conf) => check_resolv_conf(&conf, &spec.pods.resolv_conf, &spec.pods.cluster_domain),
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(error.to_string()),
        };
        if let Some(fault) = fault {
            warn!(fault, "the node's resolver configuration exceeds limits");
            events.record(EventTarget::Node, EventKind::Warning, "CheckLimitsForResolvConf", fault);
        }
    });
}

/// Starts to follow storage drivers, and returns their volumes.
pub fn start_storage(
    spec: &KubeletSpec,
    named_root: &Path,
    (api, objects): (Arc<dyn StorageApi>, &Arc<dyn Objects>),
    metrics: &Arc<Metrics>,
    stop: CancellationToken,
) -> CsiVolumes {
    let (root, drivers) = (&spec.dirs.root, Drivers::default());
    let limits = AttachLimits::new(drivers.clone(), Arc::clone(&api));
    let ends = stop.clone();
    restarting("attach limits", &stop, limits, move |limits| Box::pin(limits.run(ends.clone())));
    let registrar = Registrar::new(root, drivers.clone(), Some(Arc::clone(&api))).with_metrics(Arc::clone(metrics));
    restarting("storage drivers", &stop.clone(), registrar, move |registrar| Box::pin(registrar.run(stop.clone())));
    CsiVolumes::new(root, &spec.node_name, drivers, Arc::clone(objects), api).with_named_root(named_root)
}

/// Limits the size of container logs.
pub fn start_log_rotation(spec: &KubeletSpec, table: &PodTable, runtime: &Arc<Cri>, stop: CancellationToken) {
    let settings = RotationSettings {
        max_size: parse_size(&spec.logs.max_size),
        max_files: spec.logs.max_files,
        interval: spec.logs.interval,
        workers: usize::try_from(spec.logs.workers).unwrap_or(1),
    };
    let state = (settings, Arc::clone(&table.pods), Arc::clone(runtime));
    restarting("log rotation", &stop.clone(), state, move |(settings, pods, runtime)| {
        Box::pin(rotate_logs(settings, &**pods, &**runtime, stop.clone()))
    });
}

fn parse_size(text: &str) -> u64 {
    let amount = crate::core::model::Amount::parse(text).map(|a| a.units());
    amount.and_then(|units| u64::try_from(units).ok()).unwrap_or(10 << 20)
}

/// Notifies systemd that the kubelet is ready, and feeds its watchdog while the pod table is alive.
///
/// The socket is written from another thread: systemd's socket accepts a few messages and then blocks the sender when
/// systemd itself hangs ("Freezing execution"). Liveness is checked on the runtime's thread, so that a hanging runtime
/// is detected.
pub fn notify_systemd(liveness: Liveness, stop: CancellationToken) {
    let lanes = Lanes::new("socket of");
    let limit = sd_notify::watchdog_enabled();
    vital("watchdog", &stop.clone(), async move {
        tell(&lanes, sd_notify::NotifyState::Ready).await;
        let Some(limit) = limit else { return };
        let mut ticks = tokio::time::interval(limit.checked_div(3).unwrap_or_default().max(Duration::from_millis(1)));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => match liveness.fault() {
                    None => tell(&lanes, sd_notify::NotifyState::Watchdog).await,
                    Some(fault) => error!(fault, "systemd's watchdog is not fed"),
                },
            }
        }
    });
}

async fn tell(lanes: &Lanes, state: sd_notify::NotifyState<'static>) {
    // Without systemd there is nobody to notify; an unresponsive one is notified again at the next tick.
    #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
    let told = lanes.io("systemd", "notify", move || sd_notify::notify(&[state])).await;
    if let Err(error) = told {
        warn!(error = with_causes(&error), "systemd was not notified");
    }
}
