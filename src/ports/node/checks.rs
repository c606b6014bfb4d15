//! Checks over the network, for probes and hooks.

use std::time::Duration;

use async_trait::async_trait;

use crate::core::model::{HttpAnswer, HttpGet};

/// Why a check got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The address speaks HTTP where HTTPS was asked.
    #[error("{0}: server gave HTTP response to HTTPS client")]
    HttpInsteadOfTls(
        /// The request as upstream words it, e.g. `Get "https://10.0.0.1:80/"`.
        String,
    ),
    /// Anything else: refused, timed out, broken answer. The text goes into events.
    #[error("{0}")]
    Failed(String),
}

/// Asks servers in pods. Nothing is kept between calls: one connection each.
#[async_trait]
pub trait Checks: Send + Sync {
    /// HTTP/1.1 GET; follows at most ten redirects to the same host and gives the last answer otherwise.
    async fn http(&self, get: &HttpGet, timeout: Option<Duration>) -> Result<HttpAnswer, CheckError>;
    /// Opens and closes a connection.
    async fn tcp(&self, host: &str, port: u16, timeout: Duration) -> Result<(), CheckError>;
    /// Asks the gRPC health service; anything but SERVING is an error.
    async fn grpc(&self, host: &str, port: u16, service: &str, timeout: Duration) -> Result<(), CheckError>;
}
