//! Saturating arithmetic on times: the operators of the time types would panic.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// The longest wait, about 292 years: the range of Go's `time.Duration`. Go programs multiply the seconds that they are
/// given, so a longer grace period would become negative there. It is safe for tokio's timers too.
pub const LONGEST_WAIT: Duration = Duration::from_secs(i64::MAX.unsigned_abs() / 1_000_000_000);

/// A number of seconds from an API object: negative ones become zero, huge ones [`LONGEST_WAIT`].
pub fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0)).min(LONGEST_WAIT)
}

/// A fraction or multiple of a duration, between zero and [`LONGEST_WAIT`].
pub fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64((duration.as_secs_f64() * factor).max(0.0))
        .map_or(LONGEST_WAIT, |d| d.min(LONGEST_WAIT))
}

/// A point in time to which a wait of any length can be added.
pub trait Moment<Wait>: Sized {
    /// The time that much later, or the latest possible one.
    #[must_use]
    fn later(self, wait: Wait) -> Self;
}

impl Moment<Duration> for Instant {
    fn later(self, wait: Duration) -> Self {
        // An instant is less than the machine's uptime away from now, so the bounded sum always exists.
        self.checked_add(wait.min(LONGEST_WAIT)).unwrap_or(self)
    }
}

impl Moment<SignedDuration> for Timestamp {
    fn later(self, wait: SignedDuration) -> Self {
        self.checked_add(wait).unwrap_or(if wait.is_negative() { Self::MIN } else { Self::MAX })
    }
}

impl Moment<Duration> for Timestamp {
    fn later(self, wait: Duration) -> Self {
        self.checked_add(wait).unwrap_or(Self::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_too_far_is_the_farthest() {
        assert_eq!(
            (seconds(i64::MIN), seconds(-1), seconds(3)),
            (Duration::ZERO, Duration::ZERO, Duration::from_secs(3))
        );
        assert_eq!(seconds(i64::MAX), LONGEST_WAIT);
        assert!(i64::try_from(LONGEST_WAIT.as_nanos()).is_ok(), "Go can count its nanoseconds");
        assert_eq!(Timestamp::UNIX_EPOCH.later(SignedDuration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::UNIX_EPOCH.later(SignedDuration::MIN), Timestamp::MIN);
        assert_eq!(Timestamp::UNIX_EPOCH.later(Duration::MAX), Timestamp::MAX);
        let now = Instant::now();
        assert_eq!(now.later(Duration::MAX).duration_since(now), LONGEST_WAIT);
        assert_eq!(scaled(Duration::from_secs(10), 0.5), Duration::from_secs(5));
    }

    proptest! {
        #[test]
        fn any_sum_is_a_moment(count: i64, nanos in any::<u64>(), factor: f64) {
            let wait = seconds(count);
            let now = Instant::now();
            prop_assert!(now.later(wait) >= now);
            prop_assert!(now.later(Duration::from_secs(nanos)) >= now);
            prop_assert!(scaled(Duration::from_secs(nanos), factor) <= LONGEST_WAIT);
            let epoch = Timestamp::UNIX_EPOCH;
            prop_assert_eq!(epoch.later(SignedDuration::from_secs(count)) >= epoch, count >= 0);
        }
    }
}
