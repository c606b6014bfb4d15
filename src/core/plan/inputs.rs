//! What a plan depends on.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::ledger::Ledger;
use crate::core::model::{Observed, ProbeResults};

/// Everything a plan depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The runtime's records.
    pub observed: &'a Observed,
    /// The kubelet's own memory.
    pub ledger: &'a Ledger,
    /// Settled probes.
    pub probes: &'a ProbeResults,
    /// Now.
    pub now: Timestamp,
}
