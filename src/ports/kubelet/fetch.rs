//! Fetching a URL.

use std::collections::BTreeMap;
use std::error::Error;

use async_trait::async_trait;

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL cannot be used.
    #[error("{url}: {reason}")]
    Url {
        /// The URL, as configured or from a redirect.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection, no TLS, or an invalid response.
    #[error("{url}")]
    Request {
        /// The URL of the request.
        url: String,
        /// The error of the HTTP client.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The response is not a document.
    #[error("{url}: {status}")]
    Status {
        /// The URL of the request.
        url: String,
        /// HTTP status with its name, e.g. `404 Not Found`.
        status: String,
    },
    /// The document is larger than [`MAX_MANIFEST_BYTES`](crate::core::model::MAX_MANIFEST_BYTES).
    #[error("{url}: larger than {most} bytes")]
    TooLarge {
        /// The URL of the request.
        url: String,
        /// Largest accepted size, in bytes.
        most: usize,
    },
    /// There were too many redirects.
    #[error("{url}: stopped after {redirects} redirects")]
    Redirects {
        /// The URL as configured.
        url: String,
        /// Number of redirects that were followed.
        redirects: usize,
    },
    /// The document did not arrive in time.
    #[error("{url}: no answer within {seconds} s")]
    TimedOut {
        /// The URL as configured.
        url: String,
        /// The timeout in seconds.
        seconds: u64,
    },
}

/// Fetches documents over HTTP and HTTPS.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The body of a GET, at most 10 MiB, within 10 seconds.
    async fn get(&self, url: &str, headers: &BTreeMap<String, Vec<String>>) -> Result<Vec<u8>, FetchError>;
}
