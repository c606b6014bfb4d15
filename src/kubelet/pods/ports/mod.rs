//! Everything through which pods reach the world, and the contracts of what other rooms of the kubelet do for them.

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

/// Everything through which pods reach the world.
#[derive(Clone)]
pub struct PodPorts {
    /// Sandboxes and containers.
    pub runtime: Arc<dyn PodRuntime>,
    /// Images by policy.
    pub images: Arc<dyn PodImages>,
    /// Volumes.
    pub volumes: Arc<dyn Volumes>,
    /// Pod cgroups.
    pub cgroups: Arc<dyn Cgroups>,
    /// Referenced API objects.
    pub objects: Arc<dyn Objects>,
    /// Id blocks of pods with a user namespace.
    pub user_namespaces: Arc<dyn UserNamespaces>,
    /// Hosts files, logs, termination messages.
    pub files: Arc<dyn PodFiles>,
    /// The node's resolver and hosts files.
    pub names: Arc<dyn NameFiles>,
    /// Probes.
    pub probes: Arc<dyn Probes>,
    /// Lifecycle hooks.
    pub hooks: Arc<dyn Hooks>,
    /// Admission.
    pub admission: Arc<dyn Admission>,
    /// Events for users.
    pub events: Arc<dyn Events>,
    /// Receiver of statuses.
    pub statuses: Arc<dyn StatusSink>,
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
