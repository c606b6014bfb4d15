//! Faults of a call to the runtime.

use std::time::Duration;

/// Shortest duration of a call: other tasks run meanwhile.
pub(super) const TAKES: Duration = Duration::from_millis(1);

/// What goes wrong in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The runtime rejects it immediately.
    Fails,
    /// There is no response, and it was not executed.
    Hangs,
    /// There is no response, although it was executed.
    AnswerIsLost,
    /// The kubelet is killed just before it.
    DiesBefore,
    /// The kubelet is killed while the runtime executes it: a start is aborted, a stop sends no SIGKILL any more.
    DiesAmid,
    /// The kubelet is killed when it is complete, and never gets the response.
    DiesAfter,
}

impl Fault {
    pub const ALL: [Self; 6] =
        [Self::Fails, Self::Hangs, Self::AnswerIsLost, Self::DiesBefore, Self::DiesAmid, Self::DiesAfter];
}
