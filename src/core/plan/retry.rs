//! Pauses after failures that hold a whole pod up.

use jiff::SignedDuration;

/// First and longest pause.
const RETRY_FIRST: SignedDuration = SignedDuration::from_millis(500);
const RETRY_MAX: SignedDuration = SignedDuration::from_secs(10);

/// The pause after so many failures in a row: it grows from half a second to ten.
pub fn pause(failures: u32) -> SignedDuration {
    RETRY_FIRST.saturating_mul(2_i32.saturating_pow(failures.saturating_sub(1).min(8))).min(RETRY_MAX)
}
