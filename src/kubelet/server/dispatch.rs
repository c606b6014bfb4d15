//! From request to response: permission first, then the endpoint.

use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue, UPGRADE};
use hyper::{Method, Request, StatusCode};
use rustls_pki_types::CertificateDer;

use super::places::OpenRequest;
use super::reply::{Reply, hold, text};
use super::{Server, container_logs, debug_flags, health, info, node_logs, pods, run, stats, streams};
use crate::core::server::{Endpoint, Query, metrics_bucket};

/// The port on which a request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// 10250: all endpoints, after authentication and authorization.
    Secure,
    /// 10255: a few endpoints, without authentication.
    ReadOnly,
    /// 10248: health only, without authentication, on the loopback.
    Health,
}

/// Responds to one request, and counts it.
pub async fn answer(
    server: Arc<Server>,
    door: Door,
    chain: Arc<[CertificateDer<'static>]>,
    open: Arc<OpenRequest>,
    request: Request<Incoming>,
) -> Reply {
    let began = Instant::now();
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let path = metrics_bucket(request.uri().path());
    let door_name = if door == Door::Secure { "readwrite" } else { "readonly" };
    let long = if matches!(path, "exec" | "attach" | "portForward" | "debug") { "true" } else { "false" };
    let labels = [method.as_str(), path, door_name, long];
    let metrics = &server.ports.metrics;
    metrics.http_requests.with(labels).inc();
    let inflight = metrics.http_inflight.with(labels);
    inflight.add(1.0);
    let reply = match permit(&server, door, &chain, &open, &request).await {
        Ok(()) => dispatch(&server, door, &open, request).await,
        Err(refusal) => *refusal,
    };
    inflight.add(-1.0);
    metrics.http_duration.observe(labels, began.elapsed());
    // The request is open until its last byte is sent.
    reply.map(|body| hold(body, open))
}

/// Whether the client wants to speak over a WebSocket.
fn is_websocket(request: &Request<Incoming>) -> bool {
    let wanted = request.headers().get(UPGRADE).and_then(|value| value.to_str().ok());
    wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case("websocket"))
}

async fn permit(
    server: &Server,
    door: Door,
    chain: &[CertificateDer<'static>],
    open: &OpenRequest,
    request: &Request<Incoming>,
) -> Result<(), Box<Reply>> {
    let known = door == Door::Secure && {
        let (method, path) = (request.method().as_str(), request.uri().path());
        server.access.check(method, path, request.headers(), chain, open.source()).await?.is_known()
    };
    open.authorize(known).map_err(|full| Box::new(text(StatusCode::SERVICE_UNAVAILABLE, full.to_string())))
}

async fn dispatch(server: &Server, door: Door, open: &Arc<OpenRequest>, request: Request<Incoming>) -> Reply {
    let served_here = |endpoint: &Endpoint| match door {
        Door::Secure => true,
        Door::ReadOnly => endpoint.is_read_only(),
        Door::Health => matches!(endpoint, Endpoint::Healthz(_)),
    };
    let Some(endpoint) = Endpoint::parse(request.uri().path()).filter(served_here) else {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    if endpoint.is_debugging() && !server.settings.debugging_handlers {
        return text(StatusCode::METHOD_NOT_ALLOWED, "Debug endpoints are disabled.\n");
    }
    let methods = endpoint.methods();
    // A HEAD request is a GET without the body.
    let is_allowed =
        |method: &Method| methods.contains(&method.as_str()) || (*method == Method::HEAD && methods == ["GET"]);
    if !is_allowed(request.method()) {
        let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
        if let Ok(allow) = HeaderValue::from_str(&methods.join(", ")) {
            reply.headers_mut().insert(ALLOW, allow);
        }
        return reply;
    }
    if let (true, Err(_)) = (endpoint.is_stream(), open.stream()) {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many open streams of logs, exec, attach and port-forward\n");
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    if let (true, Some(subresource)) = (is_websocket(&request), endpoint.stream_name()) {
        server.ports.metrics.websocket_requests.with([subresource]).inc();
    }
    match &endpoint {
        Endpoint::Healthz(check) => health::healthz(server, check.as_deref(), query.get("verbose").is_some()),
        Endpoint::Pods => pods::pods(server),
        Endpoint::RunningPods => pods::running_pods(server).await,
        Endpoint::StatsSummary => stats::summary(server, &query).await,
        Endpoint::Metrics => stats::metrics(server).await,
        Endpoint::MetricsCadvisor => stats::cadvisor(server).await,
        Endpoint::MetricsResource => stats::resource(server).await,
        Endpoint::MetricsProbes => stats::probes(server),
        Endpoint::MetricsSlis => health::slis(server),
        Endpoint::NodeLogs(path) => node_logs::node_logs(server, path, &query).await,
        Endpoint::ContainerLogs(target) => container_logs::container_logs(server, target, &query).await,
        Endpoint::Exec(target) => streams::exec_or_attach(server, streams::Kind::Exec, target, open, request).await,
        Endpoint::Attach(target) => streams::exec_or_attach(server, streams::Kind::Attach, target, open, request).await,
        Endpoint::PortForward(target) => streams::port_forward(server, target, open, request).await,
        Endpoint::Run(target) => run::run(server, target, &query).await,
        Endpoint::Configz => info::configz(server),
        Endpoint::Flagz => info::flagz(server),
        Endpoint::Statusz => info::statusz(server),
        Endpoint::Checkpoint(target) => run::checkpoint(server, target, &query).await,
        Endpoint::DebugFlags(flag) => debug_flags::answer(server, flag.as_deref(), request).await,
        Endpoint::Debug => text(StatusCode::NOT_FOUND, "profiling endpoint is not available.\n"),
    }
}
