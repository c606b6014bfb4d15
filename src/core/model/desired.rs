//! The pods that sources want on this node, and the node's own decisions against them.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::PodSource;

/// The kinds of sources. Until every configured one has reported, nothing is killed or cleaned up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// Files of static pods (`staticPodPath`).
    File,
    /// A manifest URL (`staticPodURL`).
    Http,
    /// The API server: pods that are bound to this node.
    Api,
}

/// One pod that a source wants, ready to run: defaulted, validated, with uid and full name.
#[derive(Clone, Debug)]
pub struct DesiredPod {
    /// Its definition. An unchanged pod keeps its `Arc`, so that comparing is cheap.
    pub pod: Arc<Pod>,
    /// The file, URL or API it comes from.
    pub source: PodSource,
}

/// All pods that one source wants at this time, never a change; without mirror pods.
#[derive(Clone, Debug)]
pub struct DesiredSet {
    /// The source that reports.
    pub source: SourceKind,
    /// All of its pods, in the order in which they are admitted (creation time).
    pub pods: Vec<DesiredPod>,
}

/// The node's decision to terminate a pod (eviction, preemption, shutdown). The pod becomes Failed, or Succeeded if all
/// of its containers exit with 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodKill {
    /// Value for `status.reason`, e.g. `Evicted`.
    pub reason: String,
    /// Value for `status.message`, for users.
    pub message: String,
    /// Grace period in seconds; shortens the pod's own, and never extends it. `None` uses the pod's.
    pub grace_seconds: Option<i64>,
    /// Message of the condition `DisruptionTarget` (reason TerminationByKubelet); `None` to leave it unset.
    pub disruption: Option<String>,
}

/// The node rejects a pod: it becomes Failed without any container having run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Value for `status.reason` and the event's reason, e.g. `OutOfcpu`.
    pub reason: String,
    /// Text after `Pod was rejected: `.
    pub message: String,
}

/// The decision of admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The pod may run.
    Admit,
    /// A critical pod may run once others are gone.
    Preempt {
        /// Those that make room.
        victims: Vec<super::PodUid>,
        /// The first resource that does not suffice.
        resource: String,
    },
    /// The pod may not run on this node.
    Reject(Rejection),
}
