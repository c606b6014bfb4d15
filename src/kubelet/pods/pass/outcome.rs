//! What a pass tells its worker: its progress, and how it ended.

use crate::core::model::PodKill;
use crate::core::plan::Waiting;
use crate::supervise::Panicked;

/// What a pass tells its worker.
#[derive(Debug)]
pub enum Progress {
    /// A container has to wait, or (`None`) need not any more.
    Waiting(String, Option<Waiting>),
    /// The volumes are set up.
    VolumesReady,
    /// A container was started again: its back-off is raised.
    Raised(String, jiff::Timestamp),
    /// Something changed at the runtime.
    Changed,
    /// A container's resources changed, which a plain look would not notice.
    Resized,
}

/// Why the rest of a plan was dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// Something failed that the whole pod needs; it is tried again after a growing pause.
    #[error("{0}")]
    Failed(String),
    /// The node cannot run the pod.
    #[error("{}", .0.message)]
    Rejected(PodKill),
    /// An init container could not be started; its own waiting state says when to try again.
    #[error("init container {0} could not be started")]
    Init(String),
    /// The allocated resources could not be put in force.
    #[error("{0}")]
    Resize(String),
    /// All was done, except that records are still there that were to be removed; nothing depends on them.
    #[error("{0}")]
    Records(String),
}

/// How a pass ended.
#[derive(Debug)]
pub enum PassEnd {
    /// It came to its end, or to a failure that the rest of it depended on.
    Ran(Result<(), Dropped>),
    Panicked(Panicked),
    CalledOff,
}
