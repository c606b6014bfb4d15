//! What the kubelet itself remembers of a pod between plans: back-off, start errors, why it ends.
//!
//! All of it may be lost in a restart: back-off begins anew, errors come again, and the end is decided again from
//! the pod, its status and the sources.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::core::model::ContainerId;
use crate::core::model::time::Moment;

/// First back-off of a crashing container (`initialBackOffPeriod` of upstream's kubelet).
const FIRST_BACKOFF: SignedDuration = SignedDuration::from_secs(10);

/// `state.waiting` of a container that could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// CamelCase word of the API.
    pub reason: String,
    /// Text for users.
    pub message: String,
    /// When the next attempt is due; none means with the next resync.
    pub retry_at: Option<Timestamp>,
}

/// Back-off of one container as it is specified (image and resources make a new one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Delay before the next start, counted from the last finish.
    pub delay: SignedDuration,
    /// When the delay was last raised.
    pub raised_at: Timestamp,
}

/// Why a pod ends. The first cause stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// `metadata.deletionTimestamp` is set.
    Deleted,
    /// Its source does not list it any more.
    Removed,
    /// Its containers are done, or the API says so.
    Completed,
    /// The node wants it ended, with status and condition of the order.
    Killed(crate::core::model::PodKill),
    /// `activeDeadlineSeconds` has passed.
    DeadlineExceeded,
}

/// The end of a pod: when it began and how long containers may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub cause: EndCause,
    /// When it began.
    pub since: Timestamp,
    /// Grace in seconds from `since`, at least 1; only ever shortened.
    pub grace_seconds: i64,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Containers that could not be started, until they are.
    pub waiting: BTreeMap<String, Waiting>,
    /// Back-off by [`backoff_key`].
    pub backoff: BTreeMap<String, Backoff>,
    /// Containers whose postStart hook runs.
    pub post_start: BTreeSet<ContainerId>,
    /// Upper bound of back-off; zero means upstream's 300 s.
    pub max_backoff: SignedDuration,
    /// Set once the pod is being ended.
    pub end: Option<End>,
    /// The resize under way.
    pub resize: super::resize::Resize,
    /// The volumes are set up (always true once a container was made).
    pub volumes_ready: bool,
}

impl Ledger {
    fn limit(&self) -> SignedDuration {
        if self.max_backoff.is_zero() { SignedDuration::from_secs(300) } else { self.max_backoff }
    }

    /// When a container that finished at `finished` may be started again, with the delay; none means now.
    pub fn blocked_until(&self, key: &str, finished: Timestamp, now: Timestamp) -> Option<(Timestamp, SignedDuration)> {
        let backoff = self.backoff.get(key)?;
        if self.expired(backoff, finished) {
            return None;
        }
        let until = finished.later(backoff.delay);
        (now < until).then_some((until, backoff.delay))
    }

    /// Notes that a container that had finished at `finished` is started again.
    pub fn raise(&mut self, key: &str, finished: Timestamp, now: Timestamp) {
        let limit = self.limit();
        let delay = match self.backoff.get(key) {
            Some(backoff) if !self.expired(backoff, finished) => backoff.delay.saturating_mul(2).min(limit),
            _ => FIRST_BACKOFF.min(limit),
        };
        self.backoff.insert(key.to_owned(), Backoff { delay, raised_at: now });
    }

    /// A container that ran for twice the longest delay begins with the first delay again.
    fn expired(&self, backoff: &Backoff, finished: Timestamp) -> bool {
        finished.duration_since(backoff.raised_at) > self.limit().saturating_mul(2)
    }
}

/// Key of a container's back-off: another image or other resources begin anew.
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
