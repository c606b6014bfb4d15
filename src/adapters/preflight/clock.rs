//! The clock of an API server, by the `Date` header of its answer.

use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{DATE, HOST};
use jiff::{SignedDuration, Timestamp};

use crate::adapters::checks::unverified_answer;
use crate::core::model::spec::Endpoint;

/// Bound of the whole request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far the clock of the API server is ahead of this machine's; `None` if it does not answer. The server is not
/// verified: with a wrong clock its certificate is not valid.
pub async fn observe_clock(server: &Endpoint) -> Option<SignedDuration> {
    let request = hyper::Request::get("/version").header(HOST, server.to_string()).body(Empty::<Bytes>::new()).ok()?;
    let answer = tokio::time::timeout(PATIENCE, unverified_answer(&server.host, server.port, request)).await.ok()??;
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    difference(date, Timestamp::now())
}

/// A header's date (RFC 9110, 5.6.7), less the time here.
fn difference(date: &str, now: Timestamp) -> Option<SignedDuration> {
    // The obsolete zone GMT is that of the headers.
    let there = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(there.duration_since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_compared_with_the_time_here() {
        let now: Timestamp = "2026-11-30T08:49:37Z".parse().unwrap();
        let ahead = |date: &str| difference(date, now).map(|ahead| ahead.as_secs());
        assert_eq!(ahead("Mon, 30 Nov 2026 08:59:37 GMT"), Some(600));
        assert_eq!(ahead("Mon, 30 Nov 2026 08:49:07 GMT"), Some(-30));
        assert_eq!(ahead("yesterday"), None);
    }
}
