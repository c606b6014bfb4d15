//! Results of probes as the planner and the status read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{ContainerId, ContainerKind};

/// Settled result of one probe: after failureThreshold or successThreshold runs in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// The probe succeeds.
    Success,
    /// The probe fails.
    Failure,
}

/// What is known of one container's probes; `None` until a probe has settled for this container id.
///
/// A probe that the container does not have stays `None`; readers look at the spec to tell the two apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerProbes {
    /// Settled liveness.
    pub liveness: Option<ProbeResult>,
    /// Settled readiness.
    pub readiness: Option<ProbeResult>,
    /// Settled startup.
    pub startup: Option<ProbeResult>,
}

/// Probe results of a pod by container id.
pub type ProbeResults = BTreeMap<ContainerId, ContainerProbes>;

/// A running container that may be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedContainer {
    /// Name in the pod.
    pub name: String,
    /// Kind of container; init and ephemeral containers are never given.
    pub kind: ContainerKind,
    /// Runtime id; another id is another container, whose results begin again.
    pub id: ContainerId,
    /// When the runtime started it.
    pub started_at: Timestamp,
    /// The API said that it was started (startup probe passed) before the kubelet was restarted.
    pub known_started: bool,
}

/// A pod as the prober sees it: the full truth at this moment, not a change.
#[derive(Clone, Debug)]
pub struct ProbeSubject {
    /// Its definition.
    pub pod: Arc<Pod>,
    /// Addresses of the sandbox (the node's for pods in the host's network), primary first.
    pub pod_ips: Vec<String>,
    /// Containers that run now; probes of all others end.
    pub containers: Vec<ProbedContainer>,
    /// The pod terminates: liveness and startup probes of regular containers end, readiness goes on.
    pub terminating: bool,
}
