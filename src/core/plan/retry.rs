//! Pauses after failures that hold a whole pod up.

use std::time::Duration;

use crate::core::model::Backoff;

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(10) };

/// The pause after so many failures in a row: it grows from half a second to ten.
pub fn pause(failures: u32) -> Duration {
    BACKOFF.after(failures.max(1))
}
