//! The input of a status.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use crate::core::model::{Observed, ProbeResults, Rejection};
use crate::core::plan::{Ledger, Stage};

/// Everything a status depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Definition of the pod; its own status is the API server's last one.
    pub pod: &'a Pod,
    /// True if it is a static pod.
    pub is_static: bool,
    /// The pod's sandboxes and containers in the runtime.
    pub observed: &'a Observed,
    /// The kubelet's own memory about the pod.
    pub ledger: &'a Ledger,
    /// Probe results, by container id.
    pub probes: &'a ProbeResults,
    /// The status that was derived last, or the API server's after a restart.
    pub previous: &'a PodStatus,
    /// Stage of the pod on this node.
    pub stage: Stage,
    /// Why admission rejected the pod; `None` if it did not.
    pub rejection: Option<&'a Rejection>,
    /// Addresses of the node, primary first.
    pub host_ips: &'a [IpAddr],
    /// True if its runtime handler supports recursive read-only mounts.
    pub recursive_read_only: bool,
    /// When this kubelet process started; older containers keep their reported values at first.
    pub kubelet_started: Timestamp,
    /// Time of the status.
    pub now: Timestamp,
}
