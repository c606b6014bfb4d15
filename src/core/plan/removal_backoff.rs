//! When records that could not be removed are tried again: the runtime is not asked without pauses.

use jiff::Timestamp;

use super::retry::pause;
use crate::core::model::time::Moment;

/// Attempts to remove the records of a pod that is gone, before they are left to the next look for orphans.
const TRIES: u32 = 5;

/// Failures to remove records, of one pod.
#[derive(Debug, Default)]
pub struct RemovalBackoff {
    at: Option<Timestamp>,
    failures: u32,
}

impl RemovalBackoff {
    /// The next attempt; none when there is nothing to wait for.
    pub fn next(&self) -> Option<Timestamp> {
        self.at
    }

    /// Whether records may be removed now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.at.is_none_or(|at| at <= now)
    }

    /// A pass has ended in which all records that were to go went, or not.
    pub fn ended(&mut self, all: bool, now: Timestamp) {
        self.failures = if all { 0 } else { self.failures.saturating_add(1) };
        self.at = (!all).then(|| now.later(pause(self.failures)));
    }

    /// It failed so often that it seems to be of no use.
    pub fn is_in_vain(&self) -> bool {
        self.failures >= TRIES
    }
}
