//! When a worker looks at its pod again although nothing wakes it.

use jiff::{SignedDuration, Timestamp};

use crate::core::model::time::Moment;
use crate::core::plan::RemovalBackoff;

/// The clocks of one worker.
pub struct Deadlines {
    /// When the runtime is to be read again after it could not be; until then what is known may be wrong.
    pub look: Option<Timestamp>,
    /// When the next pass may begin after one that failed.
    pub retry: Option<Timestamp>,
    /// When a resize that could not be put in force is tried again.
    pub resize: Option<Timestamp>,
    /// When records that could not be removed are tried again.
    pub removal: RemovalBackoff,
    /// When plan or status want another look.
    pub wake: Option<Timestamp>,
    /// When the runtime and the objects are looked at again whatever happens.
    resync: Timestamp,
}

impl Default for Deadlines {
    fn default() -> Self {
        let (removal, resync) = (RemovalBackoff::default(), Timestamp::MAX);
        Self { look: None, retry: None, resize: None, removal, wake: None, resync }
    }
}

impl Deadlines {
    /// The next of them; at the latest after `interval`.
    pub fn next(&mut self, now: Timestamp, interval: SignedDuration) -> Timestamp {
        // Other wake-ups do not put it off, and a clock that was set back does not either.
        self.resync = self.resync.min(now.later(interval));
        let later = |at: Option<Timestamp>| at.filter(|at| *at > now);
        let due = [self.wake, later(self.retry), later(self.resize), later(self.removal.next()), self.look];
        due.into_iter().flatten().fold(self.resync, Timestamp::min)
    }

    /// Whether everything is to be looked at again; the next time is after `interval`.
    pub fn take_resync(&mut self, now: Timestamp, interval: SignedDuration) -> bool {
        let is_due = now >= self.resync;
        if is_due {
            self.resync = now.later(interval);
        }
        is_due
    }

    /// Whether no failure holds the next pass up.
    pub fn may_begin(&self, now: Timestamp) -> bool {
        self.retry.is_none_or(|at| at <= now)
    }

    /// Wakes the worker at this moment, or earlier.
    pub fn wake_by(&mut self, at: Option<Timestamp>) {
        self.wake = [self.wake, at].into_iter().flatten().min();
    }
}
