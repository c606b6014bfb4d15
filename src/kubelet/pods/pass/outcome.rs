//! Messages of a pass to its worker: its progress, and its result.

use crate::core::model::PodKill;
use crate::core::plan::Waiting;
use crate::supervise::Panicked;

/// Progress of a pass.
#[derive(Debug)]
pub enum Progress {
    /// A container waits for this reason, or (`None`) no longer waits.
    Waiting(String, Option<Waiting>),
    /// The volumes are set up.
    VolumesReady,
    /// A container was restarted: its back-off is raised.
    Raised(String, jiff::Timestamp),
    /// Something changed in the runtime.
    Changed,
    /// A container's resources changed, which a normal observation would not notice.
    Resized,
}

/// Why the rest of a plan was skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// Something failed that the whole pod needs; retried after a growing delay.
    #[error("{0}")]
    Failed(String),
    /// The node cannot run the pod.
    #[error("{}", .0.message)]
    Rejected(PodKill),
    /// An init container could not be started; its waiting state says when it is retried.
    #[error("init container {0} could not be started")]
    Init(String),
    /// The allocated resources could not be put in force.
    #[error("{0}")]
    Resize(String),
    /// Everything was done, except that some records could not be removed; nothing depends on them.
    #[error("{0}")]
    Records(String),
}

/// The result of a pass.
#[derive(Debug)]
pub enum PassEnd {
    /// It executed all actions, or failed at one on which the rest depended.
    Ran(Result<(), Dropped>),
    Panicked(Panicked),
    CalledOff,
}
