//! Terminates pods in order when the machine shuts down, and delays the shutdown meanwhile by an inhibitor lock
//! (docs/contract.md, kubelet 5.4).
//!
//! Output: a watch channel that is true from the announcement of a shutdown, for admission and the node's condition.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::core::model::time::Moment;
use crate::core::model::{is_terminal, uid_of, with_causes};
use crate::core::shutdown::{Stage, Turn, order, plan_groups, plan_stages, total};
use crate::kubelet::pods::PodControl;
use crate::ports::kubelet::{
    EventKind, EventTarget, Events, InhibitLock, Pods, ShutdownError, ShutdownRecord, ShutdownTimes, ShutdownWatch,
};
use crate::telemetry::Metrics;

/// How long the lock is held after the last pod has terminated, so that the final statuses reach the API server.
const FLUSH: Duration = Duration::from_secs(1);

/// The ports of the shutdown manager.
#[derive(Clone)]
pub struct ShutdownPorts {
    pub pods: Arc<dyn Pods>,
    pub control: Arc<dyn PodControl>,
    pub events: Arc<dyn Events>,
    /// Stores the times of the last shutdown.
    pub record: Arc<dyn ShutdownRecord>,
    /// Metrics of the same times.
    pub metrics: Arc<Metrics>,
    pub wall: fn() -> Timestamp,
}

/// Waits for shutdowns until `stop` is cancelled.
///
/// # Errors
/// The watch failed; the caller creates a new one.
pub async fn run(
    ports: &ShutdownPorts,
    turns: &[Turn],
    logind: &mut dyn ShutdownWatch,
    shutting_down: &watch::Sender<bool>,
    stop: CancellationToken,
) -> Result<(), ShutdownError> {
    logind.allow_delay(total(turns)).await?;
    let mut lock: Option<InhibitLock> = Some(logind.inhibit().await?);
    match ports.record.load().await {
        Ok(times) => show(ports, times),
        Err(error) => tracing::warn!(error = with_causes(&error), "the times of the last shutdown cannot be read"),
    }
    loop {
        let begins = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            news = logind.next() => news?,
        };
        let news = if begins { "shutdown event" } else { "shutdown cancellation" };
        let message = format!("Shutdown manager detected {news}");
        ports.events.record(EventTarget::Node, EventKind::Normal, "NodeShutdown", message);
        shutting_down.send_replace(begins);
        if begins {
            let times = ShutdownTimes { start: Some((ports.wall)()), end: None };
            keep(ports, times).await;
            end_pods(ports, turns).await;
            sleep(FLUSH).await;
            keep(ports, ShutdownTimes { end: Some((ports.wall)()), ..times }).await;
            lock = None;
        } else if lock.is_none() {
            lock = Some(logind.inhibit().await?);
        }
    }
}

fn show(ports: &ShutdownPorts, times: ShutdownTimes) {
    let seconds = |time: Option<Timestamp>| time.map_or(0.0, |time| time.as_second() as f64);
    ports.metrics.shutdown_start.with([]).set(seconds(times.start));
    ports.metrics.shutdown_end.with([]).set(seconds(times.end));
}

async fn keep(ports: &ShutdownPorts, times: ShutdownTimes) {
    show(ports, times);
    if let Err(error) = ports.record.store(times).await {
        tracing::warn!(error = with_causes(&error), "the times of this shutdown cannot be stored");
    }
}

async fn end_pods(ports: &ShutdownPorts, turns: &[Turn]) {
    let views = ports.pods.list();
    let active: Vec<Arc<Pod>> = views
        .iter()
        .filter(|view| !is_terminal(view.status.phase.as_deref()))
        .map(|view| Arc::clone(&view.pod))
        .collect();
    let mut told = true;
    for (turn, pods) in plan_groups(turns, &active) {
        tracing::info!(
            priority = turn.priority,
            pods = pods.len(),
            seconds = turn.seconds,
            "terminating pods for the shutdown"
        );
        let end = Instant::now().later(Duration::from_secs(turn.seconds));
        let stages = plan_stages(&pods);
        for (i, (stage, pods)) in stages.iter().enumerate() {
            if *stage == Stage::Api {
                told = false;
            } else if !told {
                // The API server may be among the pods that terminate now.
                sleep(FLUSH).await;
                told = true;
            }
            // Time that a stage does not use is left to later ones.
            let (left, shares) = (end.saturating_duration_since(Instant::now()), stages.len().saturating_sub(i));
            let share = left.checked_div(u32::try_from(shares).unwrap_or(1)).unwrap_or(left);
            if timeout(share, end_stage(ports, pods, share.as_secs())).await.is_err() {
                tracing::warn!(priority = turn.priority, "some pods did not terminate in time for the shutdown");
            }
        }
    }
}

async fn end_stage(ports: &ShutdownPorts, pods: &[Arc<Pod>], seconds: u64) {
    let kills = pods.iter().map(|pod| {
        let (control, kill, uid) = (Arc::clone(&ports.control), order(seconds, pod), uid_of(pod));
        async move { control.kill(&uid, kill).await }
    });
    join_all(kills).await;
}

#[cfg(test)]
mod tests;
