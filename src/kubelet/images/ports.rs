//! The ports of the image manager.

use std::sync::Arc;

use jiff::Timestamp;

use crate::kubelet::startup::StartupTracker;
use crate::ports::kubelet::{Events, NodeCredentials, Objects, PullRecords};
use crate::ports::node::ImageService;
use crate::telemetry::Metrics;

/// The ports of the image manager.
#[derive(Clone)]
pub struct ImagePorts {
    /// The runtime's image service.
    pub images: Arc<dyn ImageService>,
    /// Reads pull secrets and requests tokens.
    pub objects: Arc<dyn Objects>,
    /// For the events `Pulling`, `Pulled`, `BackOff`, `Failed`.
    pub events: Arc<dyn Events>,
    /// Credentials of the node.
    pub node: Arc<dyn NodeCredentials>,
    /// Which images were pulled with which credentials.
    pub records: Arc<dyn PullRecords>,
    /// Takes the time of pulls off that of a pod's start.
    pub startup: Arc<StartupTracker>,
    /// Counts pulls and how long they take.
    pub metrics: Arc<Metrics>,
    /// The wall clock, for back-offs that statuses show.
    pub wall: fn() -> Timestamp,
}
