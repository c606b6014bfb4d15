//! Times the workers' looks at the runtime under the names of upstream's relists (`pkg/kubelet/pleg/generic.go`).
//!
//! Upstream lists all pods each second and reads those that changed. Here a look reads one pod, so both durations are
//! those of a look, and the interval is the time between any two looks of the node.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::telemetry::Metrics;

/// The looks of all workers.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// When the last one began.
    last: Mutex<Option<Instant>>,
}

impl Looks {
    /// A look at the runtime begins.
    pub fn begin(&self, metrics: &Metrics) -> Instant {
        let now = Instant::now();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        if let Some(last) = last {
            metrics.pleg_relist_interval.observe([], now.saturating_duration_since(last));
        }
        now
    }

    /// A look has ended; `answered` is the time of one that the runtime answered.
    pub fn end(&self, metrics: &Metrics, began: Instant, answered: Option<Timestamp>) {
        metrics.pleg_relist.observe([], began.elapsed());
        metrics.pleg_pod_relist.observe([], began.elapsed());
        if let Some(at) = answered {
            metrics.pleg_last_seen.with([]).set(at.as_second() as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_does_not_answer_is_slow_and_not_seen() {
        let (looks, metrics) = (Looks::default(), Metrics::default());
        let began = looks.begin(&metrics);
        tokio::time::advance(Duration::from_secs(20)).await;
        looks.end(&metrics, began, None);
        assert_eq!(metrics.pleg_last_seen.with([]).get(), 0.0);
        let began = looks.begin(&metrics);
        looks.end(&metrics, began, Timestamp::from_second(1700).ok());
        assert_eq!(metrics.pleg_last_seen.with([]).get(), 1700.0);
        assert_eq!(metrics.pleg_relist.count([]), 2);
        assert_eq!(metrics.pleg_relist_interval.count([]), 1, "between the two");
    }
}
