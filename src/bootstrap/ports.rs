//! The ports that a run of phases uses.

use std::sync::Arc;

use jiff::Timestamp;

use crate::ports::bootstrap::{Etcd, ImageStore, KeyHandover, NodeFiles, NodeRuntime, PodNetwork, Reachability, Units};
use crate::ports::node::{Checks, ImageService, Pki};

/// All ports.
#[derive(Clone)]
pub struct Ports {
    /// Files of the node.
    pub files: Arc<dyn NodeFiles>,
    /// Keys and certificates.
    pub pki: Arc<dyn Pki>,
    /// Units.
    pub units: Arc<dyn Units>,
    /// The runtime's images.
    pub images: Arc<dyn ImageStore>,
    /// What pulls images by name.
    pub pulls: Arc<dyn ImageService>,
    /// The runtime's pods.
    pub runtime: Arc<dyn NodeRuntime>,
    /// The node's side of the pod network.
    pub network: Arc<dyn PodNetwork>,
    /// Endpoints and API objects.
    pub net: Arc<dyn Reachability>,
    /// Questions as probes ask them.
    pub checks: Arc<dyn Checks>,
    /// Connections to etcd.
    pub etcd: Arc<dyn Etcd>,
    /// Keys from other control planes.
    pub handover: Arc<dyn KeyHandover>,
    /// The clock.
    pub now: fn() -> Timestamp,
}
