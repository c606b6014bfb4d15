//! What the sources want of this node, and what the node itself wants against it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::PodSource;

/// The kinds of sources. Until every configured one has spoken, nothing is killed or cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// Manifest files.
    File,
    /// A manifest URL.
    Http,
    /// The API server.
    Api,
}

/// One pod that a source wants, ready to run: defaulted, validated, with uid and full name.
#[derive(Clone, Debug)]
pub struct DesiredPod {
    /// Its definition. An unchanged pod keeps its `Arc`, so that comparing is cheap.
    pub pod: Arc<Pod>,
    /// Where it came from.
    pub source: PodSource,
}

/// Everything that one source wants at this moment, never a change; mirror pods are left out.
#[derive(Clone, Debug)]
pub struct DesiredSet {
    /// The source that speaks.
    pub source: SourceKind,
    /// All of its pods, in the order in which they are to be admitted (creation time).
    pub pods: Vec<DesiredPod>,
}

/// An order of the node to end a pod (eviction, preemption, shutdown). The pod becomes Failed, or Succeeded when all of its
/// containers exit 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodKill {
    /// `status.reason`, e.g. `Evicted`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
    /// Grace in seconds instead of the pod's own; only ever shortens it.
    pub grace_seconds: Option<i64>,
    /// Whether the condition `DisruptionTarget` (reason TerminationByKubelet) is set, with this message.
    pub disruption: Option<String>,
}

/// The node refuses a pod: it becomes Failed without a container having run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// `status.reason` and event reason, e.g. `OutOfcpu`.
    pub reason: String,
    /// Text after `Pod was rejected: `.
    pub message: String,
}

/// Answer of admission.
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
    /// It may not.
    Reject(Rejection),
}
