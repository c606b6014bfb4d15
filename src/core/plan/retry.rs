//! Back-off after failures that affect a whole pod.

use std::time::Duration;

use crate::core::model::Backoff;

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(10) };

/// The delay after this many consecutive failures: it grows from half a second to ten.
pub fn pause(failures: u32) -> Duration {
    BACKOFF.after(failures.max(1))
}
