//! The ports of the pod table, and the traits that other rooms of the kubelet implement for it.

mod admission;
mod hooks;
mod images;
mod probes;
mod statuses;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::core::render::NodeContext;
use crate::ports::kubelet::{Cgroups, Events, NameFiles, Objects, PodFiles, PodRuntime, UserNamespaces, Volumes};
use crate::telemetry::Metrics;

pub use self::admission::Admission;
pub use self::hooks::{HookCall, HookError, Hooks};
pub use self::images::{ImageDemand, ImageWaiting, PodImages, PulledImage};
pub use self::probes::Probes;
pub use self::statuses::StatusSink;

/// The ports of the pod table.
#[derive(Clone)]
pub struct PodPorts {
    pub runtime: Arc<dyn PodRuntime>,
    pub images: Arc<dyn PodImages>,
    pub volumes: Arc<dyn Volumes>,
    pub cgroups: Arc<dyn Cgroups>,
    pub objects: Arc<dyn Objects>,
    /// Allocates id blocks to pods with a user namespace.
    pub user_namespaces: Arc<dyn UserNamespaces>,
    /// Hosts files, logs, termination messages.
    pub files: Arc<dyn PodFiles>,
    /// The node's resolver and hosts files.
    pub names: Arc<dyn NameFiles>,
    pub probes: Arc<dyn Probes>,
    pub hooks: Arc<dyn Hooks>,
    pub admission: Arc<dyn Admission>,
    pub events: Arc<dyn Events>,
    pub statuses: Arc<dyn StatusSink>,
    /// Facts and settings of the node; updated when addresses or allocatable resources change.
    pub node: watch::Receiver<Arc<NodeContext>>,
    pub instruments: Instruments,
}

/// Metrics and clock of the pod table.
#[derive(Clone)]
pub struct Instruments {
    pub metrics: Arc<Metrics>,
    pub wall: fn() -> Timestamp,
}
