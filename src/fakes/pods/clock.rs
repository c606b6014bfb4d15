//! A wall clock that follows tokio's, even while that is paused.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The current time; only differences are meaningful.
pub fn wall() -> Timestamp {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    // A paused clock may have been stopped shortly before the first call.
    let origin =
        ORIGIN.get_or_init(|| Instant::now().checked_sub(Duration::from_secs(60)).unwrap_or_else(Instant::now));
    let passed = tokio::time::Instant::now().into_std().saturating_duration_since(*origin);
    Timestamp::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + passed
}
