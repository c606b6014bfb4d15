//! Stops containers: preStop hook, ordering, signal, within one grace period.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Pass, Progress};
use crate::core::model::time::{Moment, seconds};
use crate::core::model::{ContainerId, field_path, with_causes};
use crate::core::plan::KillContainer;
use crate::kubelet::pods::{HookCall, HookError};
use crate::ports::kubelet::{EventKind, EventTarget};

/// Upstream's `minimumGracePeriodInSeconds`: least time between SIGTERM and SIGKILL.
const MIN_GRACE: Duration = Duration::from_secs(2);

impl Pass {
    /// Stops all of them in parallel; each waits for those it comes after. The error names one that could not be
    /// stopped.
    pub(super) async fn stop_containers(&self, kills: Vec<KillContainer>) -> Result<(), String> {
        let ended: HashMap<ContainerId, CancellationToken> =
            kills.iter().map(|k| (k.id.clone(), CancellationToken::new())).collect();
        let killed = join_all(kills.iter().map(|order| async {
            let killed = self.stop_container(order, &ended).await;
            if let Some(done) = ended.get(&order.id) {
                done.cancel();
            }
            self.report(Progress::Changed);
            killed
        }))
        .await;
        killed.into_iter().collect()
    }

    async fn stop_container(
        &self,
        order: &KillContainer,
        ended: &HashMap<ContainerId, CancellationToken>,
    ) -> Result<(), String> {
        let path = field_path(order.kind, &order.name);
        let event = |kind, reason: &str, message: String| {
            self.shared.ports.events.record(EventTarget::Container(&self.pod, &path), kind, reason, message);
        };
        event(EventKind::Normal, "Killing", order.message.clone());
        let deadline = Instant::now().later(seconds(order.grace_seconds));
        if let Some(handler) = order.pre_stop.clone() {
            let sleeps = handler.sleep.is_some();
            let call = HookCall {
                pod: self.pod.clone(),
                container: order.name.clone(),
                id: order.id.clone(),
                pod_ip: self.observed.sandbox().and_then(|s| s.ips.first().cloned()),
                handler,
            };
            let (events, pod, path) = (Arc::clone(&self.shared.ports.events), Arc::clone(&self.pod), path.clone());
            let failed = move |error: HookError| {
                let target = EventTarget::Container(&pod, &path);
                events.record(target, EventKind::Warning, "FailedPreStopHook", error.to_string());
            };
            if tokio::time::timeout_at(deadline, self.calls.pre_stop(call, &self.observed, failed)).await.is_err() {
                tracing::info!(container = order.name, "the preStop hook goes on until its container is killed");
                if sleeps {
                    self.shared.metrics().hook_sleeps_cut.with([]).inc();
                }
            }
        }
        let turn = join_all(order.after.iter().filter_map(|id| ended.get(id)).map(CancellationToken::cancelled));
        // The wait is part of the grace period; when that is used up, the signal is sent anyway.
        let _ = tokio::time::timeout_at(deadline, turn).await;
        // Whole seconds, rounded up: the runtime accepts no fractions.
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Duration::from_secs(left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)).max(MIN_GRACE);
        let Err(error) = self.calls.stop_container(&order.id, left).await else { return Ok(()) };
        tracing::warn!(error = with_causes(&error), container = order.name, "a container could not be stopped");
        let message = format!("error killing container {}: {error}", order.name);
        event(EventKind::Warning, "FailedKillPod", message.clone());
        Err(message)
    }
}
