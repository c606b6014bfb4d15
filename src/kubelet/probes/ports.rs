//! What probes need of the world.

use std::sync::Arc;

use jiff::Timestamp;

use crate::ports::kubelet::{ContainerExec, Events};
use crate::ports::node::Checks;
use crate::telemetry::Metrics;

/// What probes need of the world.
#[derive(Clone)]
pub struct ProbePorts {
    /// For `exec`.
    pub runtime: Arc<dyn ContainerExec>,
    /// For the others.
    pub checks: Arc<dyn Checks>,
    /// For `Unhealthy` and `ProbeWarning`.
    pub events: Arc<dyn Events>,
    /// For the count and the duration of runs.
    pub metrics: Arc<Metrics>,
    /// The wall clock, to which the runtime's start times are compared.
    pub wall: fn() -> Timestamp,
}
