//! The pod table's task: takes events, keeps one worker per pod.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::core::model::{DesiredSet, SourceKind};
use crate::core::render::NodeContext;
use crate::ports;

/// Everything through which pods reach the world.
#[derive(Clone)]
pub struct PodPorts {
    /// Sandboxes and containers.
    pub runtime: Arc<dyn ports::Runtime>,
    /// Images by policy.
    pub images: Arc<dyn ports::PodImages>,
    /// Volumes.
    pub volumes: Arc<dyn ports::Volumes>,
    /// Pod cgroups.
    pub cgroups: Arc<dyn ports::Cgroups>,
    /// Referenced API objects.
    pub objects: Arc<dyn ports::Objects>,
    /// Hosts files, logs, termination messages.
    pub files: Arc<dyn ports::PodFiles>,
    /// Probes.
    pub probes: Arc<dyn ports::Probes>,
    /// Lifecycle hooks.
    pub hooks: Arc<dyn ports::Hooks>,
    /// Admission.
    pub admission: Arc<dyn ports::Admission>,
    /// Events for users.
    pub events: Arc<dyn ports::Events>,
    /// Receiver of statuses.
    pub statuses: Arc<dyn ports::StatusSink>,
    /// Facts and settings of the node; renewed when addresses or allocatable change.
    pub node: watch::Receiver<Arc<NodeContext>>,
}

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

/// The running pod table.
#[derive(Clone)]
pub struct PodTable {
    /// Reads pods.
    pub pods: Arc<dyn ports::Pods>,
    /// Ends or wakes pods.
    pub control: Arc<dyn ports::PodControl>,
}

/// Starts the pod table; it ends (without stopping any pod) when `stop` is cancelled. `desired` takes full sets.
pub fn start(ports: PodPorts, settings: Settings, desired: mpsc::Receiver<DesiredSet>, stop: CancellationToken) -> PodTable {
    let _ = (ports, settings, desired, stop);
    unimplemented!("the pod table")
}
