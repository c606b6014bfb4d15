//! Checks over the network: HTTP(S), TCP and the gRPC health service.

mod dial;
mod grpc;
pub(crate) mod http;
mod unverified;

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use tokio::time::timeout;

pub(super) use self::unverified::Unlooked;
use crate::adapters::names::Names;
use crate::core::model::{HttpAnswer, HttpGet};
use crate::ports::node::{CheckError, Checks};

/// Checks from the node's own network.
#[derive(Clone)]
pub struct NetChecks {
    tls: unverified::Unverified,
    names: Names,
    /// The user agent of gRPC checks.
    agent: &'static str,
}

impl NetChecks {
    /// Checks that accept any certificate, as upstream's probes do; `agent` is the user agent of gRPC checks.
    ///
    /// # Errors
    /// The TLS library has no protocol version, which is a build error.
    pub fn new(agent: &'static str) -> Result<Self, rustls::Error> {
        Ok(Self { tls: unverified::Unverified::new()?, names: Names::forgetful(), agent })
    }
}

/// The answer of any TLS server to one request; `None` if there is none.
pub(super) async fn unverified_answer(
    host: &str,
    port: u16,
    request: Request<Empty<Bytes>>,
) -> Option<Response<Incoming>> {
    let tls = unverified::Unverified::new().ok()?;
    let stream = dial::connect(&Names::forgetful(), host, port, None).await.ok()?;
    http::send(request, tls.connect(host, stream).await.ok()?).await.ok()
}

#[async_trait]
impl Checks for NetChecks {
    async fn http(&self, get: &HttpGet, limit: Option<Duration>) -> Result<HttpAnswer, CheckError> {
        let answer = http::get_following(get, &self.tls, &self.names);
        let Some(limit) = limit else { return answer.await };
        timeout(limit, answer).await.unwrap_or_else(|_| {
            let url = get.url();
            Err(CheckError::Failed(format!(
                "Get \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            )))
        })
    }

    async fn tcp(&self, host: &str, port: u16, limit: Duration) -> Result<(), CheckError> {
        dial::connect(&self.names, host, port, Some(limit)).await.map(drop).map_err(CheckError::Failed)
    }

    async fn grpc(&self, host: &str, port: u16, service: &str, limit: Duration) -> Result<(), CheckError> {
        grpc::check(&self.names, self.agent, (host, port), service, limit).await.map_err(CheckError::Failed)
    }
}

#[cfg(test)]
mod tests;
#[cfg(all(test, feature = "node-tests"))]
mod tls_tests;
