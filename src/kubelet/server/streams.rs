//! exec, attach and port-forward: the upgraded connection is forwarded byte for byte to the runtime's streaming server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderValue, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Server;
use super::places::OpenRequest;
use super::reply::{Body, Reply, text};
use crate::core::model::{ContainerId, SandboxId, containers_of, with_causes};
use crate::core::server::{ContainerRef, PodRef, Query, parse_ports, parse_stdio};
use crate::ports::kubelet::PodView;
use crate::ports::node::RuntimeError;
use crate::supervise::spawn;

/// How long the runtime may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Buffer size in each direction, bytes.
const BUFFER: usize = 32 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Exec,
    /// The container's main process.
    Attach,
}

pub async fn exec_or_attach(
    server: &Server,
    kind: Kind,
    target: &ContainerRef,
    open: &Arc<OpenRequest>,
    request: Request<Incoming>,
) -> Reply {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let mut stdio = match parse_stdio(&query) {
        Ok(stdio) => stdio,
        Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let Some(pod) = server.find_pod(&target.pod) else { return text(StatusCode::NOT_FOUND, "pod does not exist") };
    let Some(container) = running_container(&pod, &target.container) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, format!("container not found ({:?})", target.container));
    };
    let url = match kind {
        Kind::Exec => {
            let command = query.all("command").map(str::to_owned).collect();
            server.ports.runtime.exec_url(&container, command, stdio).await
        }
        Kind::Attach => {
            // Whether there is a terminal was decided when the container was created.
            let of_spec = containers_of(&pod.pod).into_iter().find(|(_, c)| c.name == target.container);
            stdio.tty = of_spec.is_some_and(|(_, c)| c.tty == Some(true));
            stdio.stderr &= !stdio.tty;
            server.ports.runtime.attach_url(&container, stdio).await
        }
    };
    proxy(url, open, request).await
}

pub async fn port_forward(
    server: &Server,
    target: &PodRef,
    open: &Arc<OpenRequest>,
    request: Request<Incoming>,
) -> Reply {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let ports = match parse_ports(&query, is_websocket(request.headers())) {
        Ok(ports) => ports,
        Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let Some(pod) = server.find_pod(target) else { return text(StatusCode::NOT_FOUND, "pod does not exist") };
    let sandbox: Option<&SandboxId> = pod.sandbox.as_ref();
    let Some(sandbox) = sandbox else {
        let message = format!("pod not found ({:?})", format!("{}_{}", target.name, target.namespace));
        return text(StatusCode::INTERNAL_SERVER_ERROR, message);
    };
    proxy(server.ports.runtime.port_forward_url(sandbox, ports).await, open, request).await
}

fn running_container(pod: &PodView, name: &str) -> Option<ContainerId> {
    pod.containers.iter().find(|c| c.name == name && c.running).map(|c| c.id.clone())
}

fn has_token(headers: &HeaderMap, name: hyper::header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(token))
}

fn is_websocket(headers: &HeaderMap) -> bool {
    has_token(headers, CONNECTION, "upgrade") && has_token(headers, UPGRADE, "websocket")
}

/// The HTTP status for the runtime's error when requesting a URL (upstream `streaming.WriteError`).
fn runtime_status(error: &RuntimeError) -> StatusCode {
    match error {
        RuntimeError::NotFound { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn proxy(url: Result<String, RuntimeError>, open: &Arc<OpenRequest>, request: Request<Incoming>) -> Reply {
    let url = match url {
        Ok(url) => url,
        Err(error) => return text(runtime_status(&error), error.to_string()),
    };
    if !has_token(request.headers(), CONNECTION, "upgrade") {
        return text(StatusCode::BAD_REQUEST, "Upgrade request required");
    }
    match forward(&url, open, request).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::warn!(error = with_causes(&error), "the runtime's streaming server failed");
            text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("the runtime's streaming URL is not plain http")]
    Url,
    #[error("connect to the runtime's streaming server {address}: {source}")]
    Connect { address: String, source: std::io::Error },
    #[error("the runtime's streaming server: {0}")]
    Http(#[source] hyper::Error),
}

/// Forwards the request unchanged; when the runtime switches protocols, the two connections are joined.
async fn forward(url: &str, open: &Arc<OpenRequest>, mut request: Request<Incoming>) -> Result<Reply, ForwardError> {
    let url: Uri = url.parse().map_err(|_| ForwardError::Url)?;
    let authority = url.authority().filter(|_| url.scheme_str() == Some("http")).ok_or(ForwardError::Url)?;
    let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    let connect = |source| ForwardError::Connect { address: address.clone(), source };
    #[expect(clippy::disallowed_methods, reason = "the runtime gives an address of the node, no name")]
    let dial = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(&address));
    let tcp = dial.await.map_err(|_| connect(io::ErrorKind::TimedOut.into()))?.map_err(connect)?;
    // Keystrokes are small packets that a user waits for.
    let _ = tcp.set_nodelay(true);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.map_err(ForwardError::Http)?;
    spawn("stream", async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(error = with_causes(&error), "connection to the runtime's streaming server ended");
        }
    });

    let mut onward = Request::new(Empty::<Bytes>::new());
    *onward.method_mut() = request.method().clone();
    let path = url.path_and_query().map_or("/", |p| p.as_str());
    *onward.uri_mut() = path.parse().map_err(|_| ForwardError::Url)?;
    *onward.headers_mut() = request.headers().clone();
    // The caller's credentials are not passed to the runtime.
    onward.headers_mut().remove(AUTHORIZATION);
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| ForwardError::Url)?;
    onward.headers_mut().insert(HOST, host);
    let mut answer = sender.send_request(onward).await.map_err(ForwardError::Http)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer.map(|body| body.map_err(std::io::Error::other).boxed_unsync()));
    }
    let runtime = hyper::upgrade::on(&mut answer);
    let client = hyper::upgrade::on(&mut request);
    // The connection keeps its slot as long as the stream lasts.
    let open = Arc::clone(open);
    spawn("stream", async move {
        tokio::select! {
            () = join(client, runtime) => {}
            () = open.evicted() => tracing::debug!("the stream of an anonymous client is closed"),
        }
    });
    let (head, _) = answer.into_parts();
    Ok(Response::from_parts(head, empty()))
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

async fn join(client: OnUpgrade, runtime: OnUpgrade) {
    match tokio::try_join!(client, runtime) {
        Ok((client, runtime)) => carry(client, runtime).await,
        Err(error) => tracing::debug!(error = with_causes(&error), "a connection upgrade failed"),
    }
}

/// Copies bytes in both directions. A client that has closed its side still receives the rest; when the runtime closes,
/// the connection ends, so that a client that never closes its side keeps nothing open.
async fn carry(client: Upgraded, runtime: Upgraded) {
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
    let (mut from_runtime, mut to_runtime) = tokio::io::split(TokioIo::new(runtime));
    let inward = copy_until_end(&mut from_client, &mut to_runtime);
    let outward = copy_until_end(&mut from_runtime, &mut to_client);
    tokio::pin!(inward, outward);
    tokio::select! {
        () = &mut outward => {}
        () = &mut inward => outward.await,
    }
}

async fn copy_until_end(from: &mut (impl AsyncReadExt + Unpin), to: &mut (impl AsyncWriteExt + Unpin)) {
    let mut buffer = vec![0; BUFFER];
    // An error also ends the stream: the peer disconnected.
    while let Ok(read) = from.read(&mut buffer).await
        && read > 0
        && to.write_all(buffer.get(..read).unwrap_or_default()).await.is_ok()
        && to.flush().await.is_ok()
    {}
    let _ = to.shutdown().await;
}
