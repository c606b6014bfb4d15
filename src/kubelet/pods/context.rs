//! What the dispatcher and all workers share: ports, settings, views, the gate of starts, and the dispatcher's queue.

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
    /// Sources that must have spoken before anything is killed.
    pub sources: Vec<SourceKind>,
    /// `syncFrequency`: a pod is looked at again after this long without any event.
    pub resync: Duration,
    /// `crashLoopBackOff.maxContainerRestartPeriod`.
    pub max_restart_backoff: Duration,
}

/// What all workers share.
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
    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.ports.instruments.metrics
    }
}

/// Everything that the dispatcher reacts to.
pub(super) enum Event {
    /// A pod is to be ended.
    Kill(PodUid, PodKill, oneshot::Sender<()>),
    /// A pod is to be looked at.
    Wake(PodUid),
    /// The disk is short: records of finished pods are to be removed.
    RemoveDead,
    /// Somebody wants to know whether the task turns.
    Ping(oneshot::Sender<()>),
    /// A pod's name is free again.
    Finished(PodUid),
    /// A worker has ended.
    Gone(PodUid),
    /// The runtime has these static pods of an earlier kubelet.
    FormerStatics(Vec<Orphan>),
    /// The runtime or the disk has these pods.
    Found(Vec<Orphan>),
}
