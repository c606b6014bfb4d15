//! The ports that a run of phases uses.

use std::sync::Arc;

use jiff::Timestamp;

use crate::ports::bootstrap::{Etcd, ImageStore, KeyHandover, NodeFiles, NodeRuntime, PodNetwork, Reachability, Units};
use crate::ports::node::{Checks, ImageService, Pki};

/// The ports of the bootstrap commands.
#[derive(Clone)]
pub struct Ports {
    /// Reads and writes files of the node.
    pub files: Arc<dyn NodeFiles>,
    /// Creates and inspects keys and certificates.
    pub pki: Arc<dyn Pki>,
    pub units: Arc<dyn Units>,
    /// Imports and pins images in the runtime's store.
    pub images: Arc<dyn ImageStore>,
    /// Pulls images by name.
    pub pulls: Arc<dyn ImageService>,
    /// Lists and stops the runtime's pods.
    pub runtime: Arc<dyn NodeRuntime>,
    /// The node's side of the pod network.
    pub network: Arc<dyn PodNetwork>,
    /// Connects to API servers and their objects.
    pub net: Arc<dyn Reachability>,
    /// Sends health checks as probes do.
    pub checks: Arc<dyn Checks>,
    pub etcd: Arc<dyn Etcd>,
    /// Requests shared keys from other control planes.
    pub handover: Arc<dyn KeyHandover>,
    pub now: fn() -> Timestamp,
}
