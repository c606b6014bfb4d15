//! The input of a plan.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::ledger::Ledger;
use crate::core::model::{Observed, ProbeResults};

/// Everything a plan depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Definition of the pod, with the allocated resources.
    pub pod: &'a Pod,
    /// The pod's sandboxes and containers in the runtime.
    pub observed: &'a Observed,
    /// The kubelet's own memory about the pod.
    pub ledger: &'a Ledger,
    /// Probe results, by container id.
    pub probes: &'a ProbeResults,
    /// When the plan is made.
    pub now: Timestamp,
}
