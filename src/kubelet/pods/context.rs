//! Shared by the dispatcher and all workers: ports, settings, views, the limit of starts, and the dispatcher's queue.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::looks::Looks;
use super::orphans::Orphan;
use super::ports::PodPorts;
use super::runtime_facts::RuntimeFacts;
use super::start_gate::StartGate;
use super::views::Table;
use super::weights::Active;
use crate::core::model::{PodKill, PodUid, SourceKind};
use crate::telemetry::Metrics;

/// Settings of the pod table.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sources that must have reported before anything is killed.
    pub sources: Vec<SourceKind>,
    /// `syncFrequency`: a pod is reconciled after this time without any event.
    pub resync: Duration,
    pub max_restart_backoff: Duration,
}

/// State shared by all workers.
pub(super) struct Shared {
    pub ports: PodPorts,
    pub settings: Settings,
    pub table: Arc<Table>,
    pub facts: RuntimeFacts,
    pub starts: Arc<StartGate>,
    pub looks: Looks,
    pub started: Timestamp,
    pub events: mpsc::Sender<Event>,
    pub active: watch::Sender<Active>,
}

impl Shared {
    /// The metrics that workers and passes count into.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.ports.instruments.metrics
    }
}

/// Everything that the dispatcher reacts to.
pub(super) enum Event {
    Kill(PodUid, PodKill, oneshot::Sender<()>),
    Wake(PodUid),
    /// The disk is full: remove records of finished pods.
    RemoveDead,
    /// Answer, to show that the task is running.
    Ping(oneshot::Sender<()>),
    /// A pod's name is free again.
    Finished(PodUid),
    /// A worker has exited.
    Gone(PodUid),
    /// Static pods of an earlier kubelet that exist in the runtime.
    FormerStatics(Vec<Orphan>),
    /// Pods that exist in the runtime or on disk.
    Found(Vec<Orphan>),
}
