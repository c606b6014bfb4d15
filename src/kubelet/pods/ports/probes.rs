//! Probes of running containers.

use tokio::sync::mpsc;

use crate::core::model::{PodUid, ProbeResults, ProbeSubject};

/// Runs probes. Level triggered: the pod's worker reports what runs after each observation, also when nothing changed.
pub trait Probes: Send + Sync {
    /// Starts probes of containers that are new, ends those of containers that are not listed. Never blocks.
    fn observe(&self, subject: ProbeSubject);
    /// Ends all probes of a pod and forgets its results.
    fn forget(&self, uid: &PodUid);
    /// Results that have settled.
    fn results(&self, uid: &PodUid) -> ProbeResults;
    /// Pods of which a result changed; taken once, by the pod table.
    fn changes(&self) -> mpsc::Receiver<PodUid>;
}
