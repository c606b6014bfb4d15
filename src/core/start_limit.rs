//! How many container starts the runtime is given concurrently: more while it keeps its pace, fewer when it slows down,
//! half when it reports an overload (additive increase, multiplicative decrease).
//!
//! Starting everything at once is no faster than a few at a time: these keep processors and disk busy. Beyond a
//! machine's capacity starts fail: runc freezes a cgroup v1 before it sets its devices, and gives up after a number of
//! attempts ("unable to freeze").

use std::collections::BTreeMap;
use std::time::Duration;

/// The calls of a start, in the order of priority for waiting ones: what was begun is completed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StartCall {
    /// The CRI call `StartContainer`.
    Start,
    /// The CRI call `CreateContainer`.
    Create,
    /// The CRI call `RunPodSandbox`.
    Sandbox,
}

/// Initial, lowest and highest limit.
const FIRST: u32 = 8;
const LEAST: u32 = 2;
const MOST: u32 = 64;

/// A call is slow if it takes this many times as long as the fastest of its kind.
const SLOW: u32 = 4;

/// Messages of overloaded runtimes: runc, fork(2), containerd.
const OVERLOAD: [&str; 4] =
    ["unable to freeze", "resource temporarily unavailable", "too many open files", "context deadline exceeded"];

/// True if the runtime failed because of an overload.
pub fn is_overload(message: &str) -> bool {
    OVERLOAD.iter().any(|text| message.contains(text))
}

/// True if a start failed for this reason before the container's process was created.
pub fn is_failed_freeze(message: &str) -> bool {
    message.contains("unable to freeze")
}

/// The limit and the statistics it is derived from.
#[derive(Clone, Debug)]
pub struct StartLimit {
    limit: u32,
    /// Calls since the limit was last changed: completed in time while all slots were in use, and slow.
    good: u32,
    slow: u32,
    /// Incremented at each overload, so that failures of calls from before it are not counted again.
    round: u64,
    quickest: BTreeMap<StartCall, Duration>,
}

impl Default for StartLimit {
    fn default() -> Self {
        Self { limit: FIRST, good: 0, slow: 0, round: 0, quickest: BTreeMap::new() }
    }
}

impl StartLimit {
    /// How many calls may be in progress.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The current round, which has to be passed to [`Self::overloaded`] when a call that begins now fails.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Records a call that completed within that time; `full` is true if all slots were in use.
    pub fn answered(&mut self, call: StartCall, took: Duration, full: bool) {
        let quickest = self.quickest.entry(call).or_insert(took);
        // The fastest time is forgotten slowly, since the machine may have become slower, and more slowly than the
        // limit adapts.
        *quickest = took.min(quickest.saturating_add(quickest.checked_div(1000).unwrap_or_default()));
        if took > quickest.saturating_mul(SLOW) {
            self.slow = self.slow.saturating_add(1);
        } else if full {
            self.good = self.good.saturating_add(1);
        }
        if self.good.saturating_add(self.slow) < self.limit {
            return;
        }
        self.limit = match self.slow > self.good {
            true => self.limit.saturating_sub((self.limit / 4).max(1)).max(LEAST),
            false => self.limit.saturating_add(1).min(MOST),
        };
        (self.good, self.slow) = (0, 0);
    }

    /// Records the failure by overload of a call that began in that round.
    pub fn overloaded(&mut self, round: u64) {
        if round < self.round {
            return;
        }
        self.round = self.round.saturating_add(1);
        self.limit = (self.limit / 2).max(LEAST);
        (self.good, self.slow) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(100);

    fn answers(limit: &mut StartLimit, count: u32, took: Duration, full: bool) {
        (0..count).for_each(|_| limit.answered(StartCall::Sandbox, took, full));
    }

    #[test]
    fn a_runtime_that_keeps_its_pace_gets_more_while_more_are_waiting() {
        let mut limit = StartLimit::default();
        answers(&mut limit, 1000, QUICK, false);
        assert_eq!(limit.limit(), FIRST, "nobody waits");
        answers(&mut limit, FIRST, QUICK, true);
        assert_eq!(limit.limit(), FIRST + 1);
        answers(&mut limit, 100_000, QUICK, true);
        assert_eq!(limit.limit(), MOST);
    }

    #[test]
    fn a_runtime_that_slows_down_gets_fewer_until_it_is_quick_again() {
        let mut limit = StartLimit::default();
        answers(&mut limit, 1, QUICK, true);
        answers(&mut limit, FIRST, QUICK * (SLOW + 1), true);
        assert_eq!(limit.limit(), FIRST - 2);
        answers(&mut limit, 60, QUICK * (SLOW + 1), true);
        assert_eq!(limit.limit(), LEAST);
        answers(&mut limit, 1000, QUICK, true);
        assert!(limit.limit() > FIRST);
    }

    #[test]
    fn a_machine_that_is_slower_for_good_is_measured_by_itself() {
        let mut limit = StartLimit::default();
        answers(&mut limit, 100, QUICK, true);
        answers(&mut limit, 5000, QUICK * 10, true);
        assert_eq!(limit.limit(), MOST);
    }

    #[test]
    fn calls_of_other_kinds_have_a_pace_of_their_own() {
        let mut limit = StartLimit::default();
        for _ in 0..FIRST {
            limit.answered(StartCall::Create, QUICK / 50, true);
            limit.answered(StartCall::Sandbox, QUICK, true);
        }
        assert!(limit.limit() > FIRST);
    }

    #[test]
    fn an_overload_halves_the_limit_once_for_all_calls_that_were_under_way() {
        let mut limit = StartLimit::default();
        let round = limit.round();
        (0..20).for_each(|_| limit.overloaded(round));
        assert_eq!(limit.limit(), FIRST / 2);
        limit.overloaded(limit.round());
        limit.overloaded(limit.round());
        limit.overloaded(limit.round());
        assert_eq!(limit.limit(), LEAST);
    }

    #[test]
    fn what_runtimes_say_of_too_much_work() {
        let freeze = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc \
                      create failed: unable to start container process: unable to freeze: unknown";
        assert!(is_overload(freeze) && is_failed_freeze(freeze));
        assert!(is_overload("fork/exec /usr/bin/runc: resource temporarily unavailable"));
        assert!(!is_overload("exec: \"nothing\": executable file not found in $PATH"));
    }
}
