//! What the kubelet remembers about a pod between plans: back-off, start errors, why it terminates.
//!
//! All of it may be lost in a restart: back-off starts over, errors occur again, and termination is decided again from
//! the pod, its status and the sources.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::core::model::ContainerId;
use crate::core::model::time::Moment;

/// Initial back-off of a crashing container (`initialBackOffPeriod` in upstream's kubelet).
const FIRST_BACKOFF: SignedDuration = SignedDuration::from_secs(10);

/// `state.waiting` of a container that could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// A word for programs, in CamelCase.
    pub reason: String,
    /// A message for users.
    pub message: String,
    /// When to try again; `None`: with the next resync.
    pub retry_at: Option<Timestamp>,
}

/// Back-off of one container; another image or other resources start a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Delay before the next start, counted from the last exit.
    pub delay: SignedDuration,
    /// When the delay was last raised.
    pub raised_at: Timestamp,
}

/// Why a pod terminates. The first cause is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The pod was deleted: `metadata.deletionTimestamp` is set.
    Deleted,
    /// Its source no longer lists it.
    Removed,
    /// Its containers have finished, or its API status is terminal.
    Completed,
    /// The node decided to terminate it, with status and condition of the decision.
    Killed(crate::core::model::PodKill),
    /// The pod's `activeDeadlineSeconds` has passed.
    DeadlineExceeded,
}

/// The termination of a pod: when it began and how long containers may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why the pod terminates.
    pub cause: EndCause,
    /// When the termination began.
    pub since: Timestamp,
    /// Grace period in seconds from `since`, at least 1; may only be shortened.
    pub grace_seconds: i64,
}

/// The kubelet's memory about one pod; it may be lost at any time.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Containers that could not be started, by name, until they are.
    pub waiting: BTreeMap<String, Waiting>,
    /// Back-off of crashing containers, by [`backoff_key`].
    pub backoff: BTreeMap<String, Backoff>,
    /// Containers whose postStart hook is running.
    pub post_start: BTreeSet<ContainerId>,
    /// Longest back-off; zero means upstream's 300 s.
    pub max_backoff: SignedDuration,
    /// The termination of the pod; `None` while it should run.
    pub end: Option<End>,
    /// State of an in-place resize.
    pub resize: super::resize::Resize,
    /// True if the volumes are set up (always true once a container was created).
    pub volumes_ready: bool,
}

impl Ledger {
    fn limit(&self) -> SignedDuration {
        if self.max_backoff.is_zero() { SignedDuration::from_secs(300) } else { self.max_backoff }
    }

    /// When a container that exited at `finished` may be restarted, with the delay; `None` means now.
    pub fn blocked_until(&self, key: &str, finished: Timestamp, now: Timestamp) -> Option<(Timestamp, SignedDuration)> {
        let backoff = self.backoff.get(key)?;
        if self.expired(backoff, finished) {
            return None;
        }
        let until = finished.later(backoff.delay);
        (now < until).then_some((until, backoff.delay))
    }

    /// Raises the back-off: a container that exited at `finished` is restarted.
    pub fn raise(&mut self, key: &str, finished: Timestamp, now: Timestamp) {
        let limit = self.limit();
        let delay = match self.backoff.get(key) {
            Some(backoff) if !self.expired(backoff, finished) => backoff.delay.saturating_mul(2).min(limit),
            _ => FIRST_BACKOFF.min(limit),
        };
        self.backoff.insert(key.to_owned(), Backoff { delay, raised_at: now });
    }

    /// True if the container ran for twice the longest delay, which resets its back-off.
    fn expired(&self, backoff: &Backoff, finished: Timestamp) -> bool {
        finished.duration_since(backoff.raised_at) > self.limit().saturating_mul(2)
    }
}

/// Key of a container's back-off: another image or other resources start a new one.
pub fn backoff_key(container: &k8s_openapi::api::core::v1::Container) -> String {
    let resources = container.resources.as_ref().map(|r| serde_json::to_string(r).unwrap_or_default());
    format!("{}|{}|{}", container.name, container.image.as_deref().unwrap_or_default(), resources.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_first_restart_is_immediate_and_later_ones_wait_twice_as_long_each_time() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.blocked_until("c", at(100), at(100)), None);
        ledger.raise("c", at(100), at(100));
        assert_eq!(ledger.blocked_until("c", at(101), at(101)), Some((at(111), SignedDuration::from_secs(10))));
        ledger.raise("c", at(101), at(111));
        assert_eq!(ledger.blocked_until("c", at(112), at(112)), Some((at(132), SignedDuration::from_secs(20))));
        for _ in 0..10 {
            ledger.raise("c", at(112), at(132));
        }
        assert_eq!(ledger.backoff["c"].delay, SignedDuration::from_secs(300));
    }

    #[test]
    fn a_long_run_forgets_the_back_off() {
        let mut ledger = Ledger::default();
        ledger.raise("c", at(100), at(100));
        assert_eq!(ledger.blocked_until("c", at(100 + 601), at(100 + 601)), None);
    }

    #[test]
    fn a_configured_limit_below_ten_seconds_is_the_first_delay_too() {
        let mut ledger = Ledger { max_backoff: SignedDuration::from_secs(1), ..Ledger::default() };
        ledger.raise("c", at(100), at(100));
        assert_eq!(ledger.backoff["c"].delay, SignedDuration::from_secs(1));
    }
}
