//! Probes of running containers.

use tokio::sync::mpsc;

use crate::core::model::{PodUid, ProbeResults, ProbeSubject};

/// Runs probes. Level-triggered: the pod's worker reports the running containers after each observation, even without
/// changes.
pub trait Probes: Send + Sync {
    /// Starts probes of new containers, and stops those of containers that are not listed. Never blocks.
    fn observe(&self, subject: ProbeSubject);
    /// Stops all probes of a pod and drops its results.
    fn forget(&self, uid: &PodUid);
    /// Current results of a pod's probes; `None` for probes without a result yet.
    fn results(&self, uid: &PodUid) -> ProbeResults;
    /// Uids of pods with a changed result; may be taken once, by the pod table.
    fn changes(&self) -> mpsc::Receiver<PodUid>;
}
