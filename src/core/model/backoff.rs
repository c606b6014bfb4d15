//! Delays between attempts that double with each failure.

use std::time::Duration;

/// How long to wait before another attempt: `first` after one failure, twice as long after each further one, at most `most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// Limit of the growing delay.
    pub most: Duration,
}

impl Backoff {
    /// The delay after that many failures in a row; zero after none.
    pub fn after(self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        self.first.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.most)
    }

    /// The delays of one loop, which has not failed yet.
    pub const fn doubling(self) -> Doubling {
        Doubling { backoff: self, next: self.first }
    }
}

/// The state of a loop that retries with a [`Backoff`].
#[derive(Clone, Copy, Debug)]
pub struct Doubling {
    backoff: Backoff,
    next: Duration,
}

impl Doubling {
    /// The delay after another failure.
    pub fn pause(&mut self) -> Duration {
        self.pause_up_to(self.backoff.most)
    }

    /// The delay after another failure; the next one is at most `most`, instead of the policy's limit.
    pub fn pause_up_to(&mut self, most: Duration) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(most);
        pause
    }

    /// An attempt succeeded: the next failure is the first one.
    pub fn reset(&mut self) {
        self.next = self.backoff.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(5) };

    #[test]
    fn pauses_double_up_to_the_longest() {
        let seconds = [0, 1, 2, 3, 4, u32::MAX].map(|failures| BACKOFF.after(failures).as_secs());
        assert_eq!(seconds, [0, 1, 2, 4, 5, 5]);
    }

    #[test]
    fn a_success_begins_with_the_first_pause_again() {
        let mut retries = BACKOFF.doubling();
        assert_eq!(
            [retries.pause(), retries.pause(), retries.pause(), retries.pause()].map(|pause| pause.as_secs()),
            [1, 2, 4, 5]
        );
        retries.reset();
        assert_eq!(retries.pause_up_to(Duration::from_secs(10)).as_secs(), 1);
        retries.pause_up_to(Duration::from_secs(10));
        retries.pause_up_to(Duration::from_secs(10));
        assert_eq!(retries.pause().as_secs(), 8, "the longest one is that of the failure before");
        assert_eq!(retries.pause().as_secs(), 5);
    }
}
