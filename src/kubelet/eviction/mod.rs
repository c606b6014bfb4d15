//! Checks the node every ten seconds and evicts pods under pressure (docs/contract.md, kubelet 5.2).
//!
//! Output: [`Pressure`] on a watch channel, for admission and the node's conditions. A check reads a handful of small
//! files; pods are measured only if a threshold is met or a pod has a limit on local storage.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::core::admission::Pressure;
use crate::core::evict::{
    Candidate, EvictionNotice, Observations, PressureState, Threshold, derive_observations, describe_eviction,
    exceeds_local_limit, has_local_limit, measured_at, rank,
};
use crate::core::model::usage::{NodeUsage, PodUsage};
use crate::core::model::{PodKill, PodUid, is_critical, is_terminal, uid_of, with_causes};
use crate::kubelet::image_gc::ImageGc;
use crate::kubelet::pods::PodControl;
use crate::ports::kubelet::{EventKind, EventTarget, Events, Lifecycle, PodView, Pods, Usage, UsageDepth};
use crate::telemetry::Metrics;

const INTERVAL: Duration = Duration::from_secs(10);
/// How long an evicted pod may take to terminate, and then to release its resources, before the node is checked again
/// (upstream `podCleanupTimeout`).
const CLEANUP: Duration = Duration::from_secs(30);
/// Polling interval for that (upstream `podCleanupPollFreq`).
const CLEANUP_POLL: Duration = Duration::from_secs(1);
/// Grace period of a hard eviction in seconds.
const AT_ONCE: i64 = 1;

/// The ports that eviction uses.
#[derive(Clone)]
pub struct EvictionPorts {
    pub usage: Arc<dyn Usage>,
    pub pods: Arc<dyn Pods>,
    pub control: Arc<dyn PodControl>,
    /// For the events `Evicted` and `EvictionThresholdMet`.
    pub events: Arc<dyn Events>,
    /// Frees disk space before pods are evicted.
    pub images: Arc<ImageGc>,
    /// Counts evictions by their signal.
    pub metrics: Arc<Metrics>,
    /// The wall clock: a pressure lasts for a transition period.
    pub wall: fn() -> Timestamp,
}

#[derive(Clone, Debug)]
pub struct EvictionLimits {
    pub thresholds: Vec<Threshold>,
    /// How long a condition lasts after its cause.
    pub transition: Duration,
    /// Longest grace period of a soft eviction, in seconds; negative for the pod's own.
    pub max_pod_grace: i64,
    /// True if limits of local storage are enforced.
    pub local_storage: bool,
    /// True if writable layers are on a separate file system from the kubelet's directory.
    pub dedicated_image_fs: bool,
}

/// Watches the node until `stop` is cancelled.
pub async fn run(
    ports: &EvictionPorts,
    limits: &EvictionLimits,
    pressure: &watch::Sender<Pressure>,
    stop: CancellationToken,
) {
    if limits.thresholds.is_empty() && !limits.local_storage {
        return;
    }
    let mut state = PressureState::default();
    loop {
        let evicted = stop.run_until_cancelled(look(ports, limits, &mut state, pressure)).await;
        let Some(evicted) = evicted else { return };
        if !evicted && stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
            return;
        }
    }
}

/// Checks the node once; returns whether a pod was evicted, after which it is checked again immediately.
async fn look(
    ports: &EvictionPorts,
    limits: &EvictionLimits,
    state: &mut PressureState,
    pressure: &watch::Sender<Pressure>,
) -> bool {
    let node = ports.usage.node(UsageDepth::Full).await;
    let observed = derive_observations(&node);
    let (found, due) = state.observe(&limits.thresholds, &observed, limits.transition, (ports.wall)());
    pressure.send_if_modified(|known| std::mem::replace(known, found) != found);
    let runs = |view: &Arc<PodView>| !is_terminal(view.status.phase.as_deref());
    let active: Vec<Arc<PodView>> = ports.pods.list().into_iter().filter(runs).collect();
    if limits.local_storage && evict_for_local_limits(ports, limits, &active).await {
        return true;
    }
    let Some(threshold) = due.first() else { return false };
    let resource = threshold.signal.resource();
    let message = format!("Attempting to reclaim {resource}");
    ports.events.record(EventTarget::Node, EventKind::Warning, "EvictionThresholdMet", message);
    if threshold.signal.is_disk() && reclaimed(ports, threshold).await {
        return false;
    }
    count_age(ports, &node, &due);
    evict_one(ports, limits, threshold, &observed, active).await
}

/// How old the figures are by which a pod is about to be evicted.
fn count_age(ports: &EvictionPorts, node: &NodeUsage, due: &[Threshold]) {
    for threshold in due {
        let age = measured_at(node, threshold.signal).map(|at| (ports.wall)().duration_since(at));
        if let Some(age) = age.and_then(|age| Duration::try_from(age).ok()) {
            ports.metrics.eviction_stats_age.observe([threshold.signal.as_str()], age);
        }
    }
}

/// Frees disk at nobody's cost, as upstream (`eviction/helpers.go`, `buildSignalToNodeReclaimFuncs`): containers of pods
/// that are finished, then images that nobody uses.
async fn reclaimed(ports: &EvictionPorts, threshold: &Threshold) -> bool {
    ports.control.remove_dead().await;
    if timeout(CLEANUP, dead_removed(&*ports.pods)).await.is_err() {
        tracing::warn!("containers of finished pods were not removed within 30 s");
    }
    if let Err(error) = ports.images.free_all().await {
        tracing::warn!(error = with_causes(&error), "unused images could not be removed");
    }
    let observed = derive_observations(&ports.usage.node(UsageDepth::Full).await);
    observed.get(&threshold.signal).is_some_and(|left| !threshold.is_met(*left, true))
}

async fn evict_for_local_limits(ports: &EvictionPorts, limits: &EvictionLimits, active: &[Arc<PodView>]) -> bool {
    let limited: Vec<_> = active.iter().filter(|view| has_local_limit(&view.pod) && !spared(view)).collect();
    if limited.is_empty() {
        return false;
    }
    let usage = measure(ports).await;
    let mut evicted = false;
    for view in limited {
        let Some(used) = usage.get(uid_of(&view.pod).as_str()) else { continue };
        if let Some(excess) = exceeds_local_limit(&view.pod, used, limits.dedicated_image_fs) {
            let notice = EvictionNotice { message: excess.message, ..EvictionNotice::default() };
            evict(ports, view, AT_ONCE, notice, false).await;
            ports.metrics.evictions.with([excess.signal]).inc();
            evicted = true;
        }
    }
    evicted
}

/// Evicts at most one pod; the next check determines whether that was enough.
async fn evict_one(
    ports: &EvictionPorts,
    limits: &EvictionLimits,
    threshold: &Threshold,
    observed: &Observations,
    active: Vec<Arc<PodView>>,
) -> bool {
    let mut usage = measure(ports).await;
    let views: HashMap<_, _> = active.into_iter().map(|view| (uid_of(&view.pod), view)).collect();
    let mut candidates: Vec<Candidate> = views
        .values()
        .filter(|view| !spared(view))
        .map(|view| Candidate { pod: Arc::clone(&view.pod), usage: usage.remove(uid_of(&view.pod).as_str()) })
        .collect();
    rank(threshold.signal, &mut candidates);
    let Some(first) = candidates.first() else {
        tracing::error!(
            resource = threshold.signal.resource(),
            "the node is under pressure, but no pod may be evicted"
        );
        return false;
    };
    let Some(view) = views.get(&uid_of(&first.pod)) else { return false };
    let own = first.pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds).unwrap_or(i64::MAX);
    let grace = if threshold.is_hard() { AT_ONCE } else { soft_grace(limits.max_pod_grace, own) };
    let notice = describe_eviction(threshold, observed, &first.pod, first.usage.as_ref());
    evict(ports, view, grace, notice, true).await;
    ports.metrics.evictions.with([threshold.signal.as_str()]).inc();
    true
}

/// A negative limit keeps the pod's own grace period, as `--eviction-max-pod-grace-period` documents.
fn soft_grace(most: i64, own: i64) -> i64 {
    if most < 0 { own } else { most.min(own) }
}

fn spared(view: &PodView) -> bool {
    view.is_static || is_critical(&view.pod)
}

async fn measure(ports: &EvictionPorts) -> HashMap<String, PodUsage> {
    ports.usage.pods(UsageDepth::Full).await.into_iter().map(|usage| (usage.pod_ref.uid.clone(), usage)).collect()
}

async fn evict(ports: &EvictionPorts, view: &PodView, grace: i64, notice: EvictionNotice, disrupted: bool) {
    let EvictionNotice { message, annotations } = notice;
    tracing::info!(pod = ?view.pod.metadata.name, message, "evict");
    let target = EventTarget::Pod(&view.pod);
    ports.events.record_annotated(target, EventKind::Warning, "Evicted", message.clone(), annotations);
    let kill = PodKill {
        reason: "Evicted".into(),
        message: message.clone(),
        grace_seconds: Some(grace),
        disruption: disrupted.then_some(message),
    };
    let uid = uid_of(&view.pod);
    if timeout(CLEANUP, ports.control.kill(&uid, kill)).await.is_err() {
        tracing::warn!(pod = %uid, "an evicted pod is still running after 30 s");
    } else if timeout(CLEANUP, given_back(&*ports.pods, &uid)).await.is_err() {
        tracing::warn!(pod = %uid, "volumes or cgroup of an evicted pod were not removed within 30 s");
    }
}

/// Returns when no finished pod has containers.
async fn dead_removed(pods: &dyn Pods) {
    let has_dead = |view: &Arc<PodView>| view.lifecycle == Lifecycle::Finished && !view.containers.is_empty();
    while pods.list().iter().any(has_dead) {
        tokio::time::sleep(CLEANUP_POLL).await;
    }
}

/// Returns when the pod's volumes and cgroup are removed: until then they are measured, and another pod would be
/// evicted.
async fn given_back(pods: &dyn Pods, uid: &PodUid) {
    while pods.by_uid(uid).is_some_and(|view| view.lifecycle != Lifecycle::Finished) {
        tokio::time::sleep(CLEANUP_POLL).await;
    }
}

#[cfg(test)]
mod tests;
