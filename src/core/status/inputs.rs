//! What a status depends on.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use crate::core::model::{Observed, ProbeResults, Rejection};
use crate::core::plan::{Ledger, Stage};

/// Everything a status depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The pod; its own status is what the API server last said.
    pub pod: &'a Pod,
    /// Whether it is a static pod.
    pub is_static: bool,
    /// The runtime's records.
    pub observed: &'a Observed,
    /// The kubelet's own memory.
    pub ledger: &'a Ledger,
    /// Settled probes.
    pub probes: &'a ProbeResults,
    /// Status as derived last, or the API server's after a restart.
    pub previous: &'a PodStatus,
    /// State of the pod's worker.
    pub stage: Stage,
    /// Why the node refused it.
    pub rejection: Option<&'a Rejection>,
    /// Addresses of the node, primary first.
    pub host_ips: &'a [IpAddr],
    /// Whether its runtime handler mounts recursively read-only.
    pub recursive_read_only: bool,
    /// When this kubelet process began; containers that are older keep what was said of them.
    pub kubelet_started: Timestamp,
    /// Now.
    pub now: Timestamp,
}
