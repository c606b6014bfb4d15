//! The gRPC health check, `grpc.health.v1.Health/Check` (upstream `pkg/probe/grpc`).
//!
//! The two messages are written by hand: one field each does not need a generated module.

use std::time::Duration;

use hyper::http::uri::{PathAndQuery, Uri};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::adapters::names::Names;
use crate::core::model::with_causes;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// Sends one request on a new connection.
pub(super) async fn check(
    names: &Names,
    agent: &'static str,
    (host, port): (&str, u16),
    service: &str,
    limit: Duration,
) -> Result<(), String> {
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let began = tokio::time::Instant::now();
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .and_then(|endpoint| endpoint.user_agent(agent))
        .map_err(|error| format!("error: failed to connect service at {address:?}: {error}"))?;
    let (names, host) = (names.clone(), host.to_owned());
    let connector = tower::service_fn(move |_: Uri| {
        let (names, host) = (names.clone(), host.clone());
        async move { names.connect(&host, port).await.map(TokioIo::new) }
    });
    let channel = match timeout(limit, endpoint.connect_with_connector(connector)).await {
        Ok(Ok(channel)) => channel,
        Ok(Err(error)) => {
            return Err(format!("error: failed to connect service at {address:?}: {}", with_causes(&error)));
        }
        Err(_) => {
            return Err(format!(
                "timeout: failed to connect service {address:?} within {}s: context deadline exceeded",
                limit.as_secs()
            ));
        }
    };
    match timeout(limit.saturating_sub(began.elapsed()), ask(channel, service)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("timeout: health rpc did not complete within {}s", limit.as_secs())),
    }
}

async fn ask(channel: Channel, service: &str) -> Result<(), String> {
    let mut client = Grpc::new(channel).max_decoding_message_size(1 << 20);
    client.ready().await.map_err(|error| format!("error: health rpc probe failed: {}", with_causes(&error)))?;
    let request = Request::new(HealthCheckRequest { service: service.to_owned() });
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let status = match client.unary(request, path, codec).await {
        Ok(response) => response.into_inner().status,
        Err(status) if status.code() == Code::Unimplemented => {
            return Err(format!(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
                status.message()
            ));
        }
        Err(status) => {
            return Err(format!(
                "error: health rpc probe failed: rpc error: code = {:?} desc = {}",
                status.code(),
                status.message()
            ));
        }
    };
    let word = match ServingStatus::try_from(status) {
        Ok(ServingStatus::Serving) => return Ok(()),
        Ok(ServingStatus::Unknown) => "UNKNOWN".to_owned(),
        Ok(ServingStatus::NotServing) => "NOT_SERVING".to_owned(),
        Ok(ServingStatus::ServiceUnknown) => "SERVICE_UNKNOWN".to_owned(),
        Err(_) => status.to_string(),
    };
    Err(format!("service unhealthy (responded with {word:?})"))
}
