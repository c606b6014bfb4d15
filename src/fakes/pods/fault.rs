//! What can go wrong at one call to the runtime.

use std::time::Duration;

/// How long a call takes at least: others go on meanwhile.
pub(super) const TAKES: Duration = Duration::from_millis(1);

/// What goes wrong at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The runtime refuses it at once.
    Fails,
    /// There is no answer, and it was not done.
    Hangs,
    /// There is no answer, although it was done.
    AnswerIsLost,
    /// The kubelet is killed just before.
    DiesBefore,
    /// The kubelet is killed while the runtime is at it: a start is called off, a stop sends no SIGKILL any more.
    DiesAmid,
    /// The kubelet is killed when it is done, and never hears of it.
    DiesAfter,
}

impl Fault {
    pub const ALL: [Self; 6] =
        [Self::Fails, Self::Hangs, Self::AnswerIsLost, Self::DiesBefore, Self::DiesAmid, Self::DiesAfter];
}
