//! What images need of the world.

use std::sync::Arc;

use jiff::Timestamp;

use crate::kubelet::startup::StartupTracker;
use crate::ports::kubelet::{Events, NodeCredentials, Objects, PullRecords};
use crate::ports::node::ImageService;
use crate::telemetry::Metrics;

/// What images need of the world.
#[derive(Clone)]
pub struct ImagePorts {
    /// The runtime's image service.
    pub images: Arc<dyn ImageService>,
    /// Pull secrets and tokens.
    pub objects: Arc<dyn Objects>,
    /// For `Pulling`, `Pulled`, `BackOff`, `Failed`.
    pub events: Arc<dyn Events>,
    /// Credentials of the node.
    pub node: Arc<dyn NodeCredentials>,
    /// What was pulled with whose credentials.
    pub records: Arc<dyn PullRecords>,
    /// Takes the time of pulls off that of a pod's start.
    pub startup: Arc<StartupTracker>,
    /// Counts pulls.
    pub metrics: Arc<Metrics>,
    /// The wall clock.
    pub wall: fn() -> Timestamp,
}
