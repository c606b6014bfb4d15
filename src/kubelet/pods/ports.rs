//! Everything through which pods reach the world.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::core::render::NodeContext;
use crate::ports;
use crate::telemetry::Metrics;

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
    /// Id blocks of pods with a user namespace.
    pub user_namespaces: Arc<dyn ports::UserNamespaces>,
    /// Hosts files, logs, termination messages.
    pub files: Arc<dyn ports::PodFiles>,
    /// The node's resolver and hosts files.
    pub names: Arc<dyn ports::NameFiles>,
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
    /// Counters and clock.
    pub instruments: Instruments,
}

/// What pods are counted and timed with.
#[derive(Clone)]
pub struct Instruments {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The wall clock.
    pub wall: fn() -> Timestamp,
}
