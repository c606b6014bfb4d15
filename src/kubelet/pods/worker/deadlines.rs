//! When a worker reconciles its pod although no event wakes it.

use jiff::{SignedDuration, Timestamp};

use crate::core::model::time::Moment;
use crate::core::plan::RemovalBackoff;

/// The deadlines of one worker.
pub struct Deadlines {
    /// When the runtime is read again after a failure; until then the observation may be wrong.
    pub look: Option<Timestamp>,
    /// When the next pass may begin after a failed one.
    pub retry: Option<Timestamp>,
    /// When a resize that could not be put in force is retried.
    pub resize: Option<Timestamp>,
    /// When records that could not be removed are retried.
    pub removal: RemovalBackoff,
    /// When the plan or the status has to be derived again.
    pub wake: Option<Timestamp>,
    /// When the runtime and the objects are read again in any case.
    resync: Timestamp,
}

impl Default for Deadlines {
    fn default() -> Self {
        let (removal, resync) = (RemovalBackoff::default(), Timestamp::MAX);
        Self { look: None, retry: None, resize: None, removal, wake: None, resync }
    }
}

impl Deadlines {
    /// The earliest of them; at the latest after `interval`.
    pub fn next(&mut self, now: Timestamp, interval: SignedDuration) -> Timestamp {
        // Other wake-ups do not postpone it, and neither does a clock that was set back.
        self.resync = self.resync.min(now.later(interval));
        let later = |at: Option<Timestamp>| at.filter(|at| *at > now);
        let due = [self.wake, later(self.retry), later(self.resize), later(self.removal.next()), self.look];
        due.into_iter().flatten().fold(self.resync, Timestamp::min)
    }

    /// True if everything has to be read again; the next time is after `interval`.
    pub fn take_resync(&mut self, now: Timestamp, interval: SignedDuration) -> bool {
        let is_due = now >= self.resync;
        if is_due {
            self.resync = now.later(interval);
        }
        is_due
    }

    /// True if the next pass does not have to wait after a failure.
    pub fn may_begin(&self, now: Timestamp) -> bool {
        self.retry.is_none_or(|at| at <= now)
    }

    /// Wakes the worker at this time, or earlier.
    pub fn wake_by(&mut self, at: Option<Timestamp>) {
        self.wake = [self.wake, at].into_iter().flatten().min();
    }
}
