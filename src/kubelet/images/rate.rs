//! Rate limit of starting pulls.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::core::model::time::Moment;

/// `registryPullQPS` and `registryBurst`. Upstream rejects pulls over the limit; here they wait.
pub(super) struct PullRate {
    interval: Option<Duration>,
    burst: Duration,
    /// When the bucket will be full again.
    full_at: Mutex<Option<Instant>>,
}

impl PullRate {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second);
        Self { interval, burst: interval.unwrap_or_default().saturating_mul(burst.max(1)), full_at: Mutex::default() }
    }

    pub(super) async fn wait(&self) {
        let Some(interval) = self.interval else { return };
        let until = {
            let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let full = full_at.unwrap_or(now).max(now).later(interval);
            *full_at = Some(full);
            full.checked_sub(self.burst).unwrap_or(now)
        };
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_the_rest_waits() {
        let (rate, began) = (PullRate::new(5, 10), Instant::now());
        for _ in 0..10 {
            rate.wait().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..5 {
            rate.wait().await;
        }
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }
}
