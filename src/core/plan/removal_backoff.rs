//! Back-off for container records that the runtime failed to remove.

use jiff::Timestamp;

use super::retry::pause;
use crate::core::model::time::Moment;

/// Attempts to remove the records of a pod that is gone, before they are left to the periodic cleanup of orphans.
const TRIES: u32 = 5;

/// Failures to remove records of one pod.
#[derive(Debug, Default)]
pub struct RemovalBackoff {
    at: Option<Timestamp>,
    failures: u32,
}

impl RemovalBackoff {
    /// Time of the next attempt; `None` if none has to wait.
    pub fn next(&self) -> Option<Timestamp> {
        self.at
    }

    /// True if records may be removed now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.at.is_none_or(|at| at <= now)
    }

    /// Records the result of a pass: `all` is true if every record was removed.
    pub fn ended(&mut self, all: bool, now: Timestamp) {
        self.failures = if all { 0 } else { self.failures.saturating_add(1) };
        self.at = (!all).then(|| now.later(pause(self.failures)));
    }

    /// True if it failed so often that further attempts are left to the cleanup of orphans.
    pub fn is_in_vain(&self) -> bool {
        self.failures >= TRIES
    }
}
