//! Network checks for probes and hooks.

use std::time::Duration;

use async_trait::async_trait;

use crate::core::model::{HttpAnswer, HttpGet};

/// Why a check got no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The server speaks HTTP where HTTPS was requested.
    #[error("{0}: server gave HTTP response to HTTPS client")]
    HttpInsteadOfTls(
        /// The request in upstream's words, e.g. `Get "https://10.0.0.1:80/"`.
        String,
    ),
    /// Anything else: refused, timed out, malformed response. The text is used in events.
    #[error("{0}")]
    Failed(String),
}

/// Sends requests to servers in pods. Each call opens a connection; nothing is kept.
#[async_trait]
pub trait Checks: Send + Sync {
    /// Sends an HTTP/1.1 GET; follows at most ten redirects on the same host, and returns the last response otherwise.
    async fn http(&self, get: &HttpGet, timeout: Option<Duration>) -> Result<HttpAnswer, CheckError>;
    /// Opens and closes a connection.
    async fn tcp(&self, host: &str, port: u16, timeout: Duration) -> Result<(), CheckError>;
    /// Calls the gRPC health service; any status but SERVING is an error.
    async fn grpc(&self, host: &str, port: u16, service: &str, timeout: Duration) -> Result<(), CheckError>;
}
