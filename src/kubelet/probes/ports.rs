//! The ports of the prober.

use std::sync::Arc;

use jiff::Timestamp;

use crate::ports::kubelet::{ContainerExec, Events};
use crate::ports::node::Checks;
use crate::telemetry::Metrics;

/// The ports of the prober.
#[derive(Clone)]
pub struct ProbePorts {
    pub runtime: Arc<dyn ContainerExec>,
    pub checks: Arc<dyn Checks>,
    /// For the events `Unhealthy` and `ProbeWarning`.
    pub events: Arc<dyn Events>,
    /// Counts and durations of runs.
    pub metrics: Arc<Metrics>,
    /// The wall clock, which is compared with the runtime's start times.
    pub wall: fn() -> Timestamp,
    /// The user agent of HTTP probes.
    pub agent: &'static str,
}
