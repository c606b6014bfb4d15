//! Results of probes, as planner and status use them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{ContainerId, ContainerKind};

/// The result of one probe after failureThreshold or successThreshold consecutive runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// The probe has succeeded often enough.
    Success,
    /// The probe has failed often enough.
    Failure,
}

/// Probe results of one container; `None` until a probe has a result for this container id.
///
/// A probe that the container does not define stays `None`; callers use the spec to tell the two apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerProbes {
    /// Result of the `livenessProbe`.
    pub liveness: Option<ProbeResult>,
    /// Result of the `readinessProbe`.
    pub readiness: Option<ProbeResult>,
    /// Result of the `startupProbe`.
    pub startup: Option<ProbeResult>,
}

/// Probe results of a pod by container id.
pub type ProbeResults = BTreeMap<ContainerId, ContainerProbes>;

/// A running container that may be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedContainer {
    /// Name of the container in the pod.
    pub name: String,
    /// Kind of container; never init or ephemeral.
    pub kind: ContainerKind,
    /// Runtime id; for another id the probes start over.
    pub id: ContainerId,
    /// When the runtime started it.
    pub started_at: Timestamp,
    /// True if the API had it as started (startup probe passed) before the kubelet restarted.
    pub known_started: bool,
}

/// A pod as the prober needs it: the complete current state, not a change.
#[derive(Clone, Debug)]
pub struct ProbeSubject {
    /// Definition of the pod, with its probes.
    pub pod: Arc<Pod>,
    /// Addresses of the sandbox (of the node for pods in the host's network), primary first.
    pub pod_ips: Vec<String>,
    /// Containers that currently run; probes of all others are stopped.
    pub containers: Vec<ProbedContainer>,
    /// True while the pod terminates: liveness and startup probes of regular containers are stopped, readiness
    /// continues.
    pub terminating: bool,
}
