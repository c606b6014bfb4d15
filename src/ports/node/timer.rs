//! Instants of tokio's clock, which tests may pause; see [`crate::core::model::time`].

use std::time::Duration;

use tokio::time::Instant;

use crate::core::model::time::Moment;

impl Moment<Duration> for Instant {
    fn later(self, wait: Duration) -> Self {
        Self::from_std(self.into_std().later(wait))
    }
}
