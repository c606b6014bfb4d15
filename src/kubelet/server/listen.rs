//! Sockets: binds the ports, accepts connections, and passes each request to the dispatcher.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustix::net::sockopt;
use rustix::process::Resource;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::client_ca::{AskForCertificate, ClientCa, ClientCaError};
use super::dispatch::{Door, answer};
use super::places::{Bounds, Closed, IDLE, Place, Places};
use super::{Server, ServerPorts, Settings};
use crate::core::model::with_causes;
use crate::offload::Lanes;

/// How long a timed-out connection may take to finish its HTTP/2 streams or its last response.
const LINGER: Duration = Duration::from_secs(5);
/// Detects peers that disappeared without closing, after at most a minute.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive { idle: Duration::from_secs(30), interval: Duration::from_secs(10), probes: 3 };
/// The same for HTTP/2, which also detects peers whose process hangs.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest head of an HTTP/2 request, in bytes (hyper's default, made explicit).
const MAX_HEADERS: u32 = 16 * 1024;
/// Longest head of an HTTP/1 request, in bytes. Tokens of some issuers have several kilobytes.
const MAX_HEAD: usize = 64 * 1024;
/// Streams that a peer may reset before they are handled ("rapid reset", CVE-2023-44487).
const MAX_RESETS: usize = 20;

struct TcpKeepalive {
    idle: Duration,
    interval: Duration,
    probes: u32,
}

const TLS13_ONLY: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A port is in use, or an address is not this machine's.
    #[error("listen on {address}")]
    Listen {
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The client CA file cannot be used.
    #[error(transparent)]
    ClientCa(#[from] ClientCaError),
    /// No protocol version of TLS is available.
    #[error("TLS")]
    Tls(#[source] rustls::Error),
}

/// The bound ports, before they are served.
pub struct Listeners {
    secure: TcpListener,
    healthz: Option<TcpListener>,
    read_only: Option<TcpListener>,
}

impl Listeners {
    /// Binds all ports, so that a port in use is detected before anything else starts.
    pub async fn bind(settings: &Settings) -> Result<Self, BindError> {
        Ok(Self {
            secure: bind(settings.listen.secure).await?,
            healthz: bind_some(settings.listen.healthz).await?,
            read_only: bind_some(settings.listen.read_only).await?,
        })
    }

    /// Address of the secure port; needed if the port was 0.
    pub fn secure_address(&self) -> io::Result<SocketAddr> {
        self.secure.local_addr()
    }

    /// Address of the health port; `None` if it is disabled.
    pub fn healthz_address(&self) -> Option<SocketAddr> {
        self.healthz.as_ref().and_then(|l| l.local_addr().ok())
    }

    /// Serves until `stop`. Open connections are not awaited: streams may last for hours.
    pub async fn serve(self, settings: Settings, ports: ServerPorts, stop: CancellationToken) -> Result<(), BindError> {
        let provider = Arc::new(provider(&settings.tls.cipher_suites, settings.tls.curves.as_deref()));
        let client_ca = match &settings.client_ca_file {
            Some(path) => Some(ClientCa::load(path, Arc::clone(&provider))?),
            None => None,
        };
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(if settings.tls.only_13 { TLS13_ONLY } else { rustls::ALL_VERSIONS })
            .map_err(BindError::Tls)?
            .with_client_cert_verifier(Arc::new(AskForCertificate(provider)))
            .with_cert_resolver(Arc::clone(&ports.certificate));
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let access = Access::new(&settings, client_ca, ports.reviews.clone());
        let server = Arc::new(Server {
            settings,
            log_watch: Arc::clone(&ports.log_watch),
            lanes: Lanes::new("log"),
            ports,
            access,
            started: jiff::Timestamp::now(),
        });
        let descriptors = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let places = Places::new(Bounds::secure(descriptors));
        let open = || Places::new(Bounds::open(descriptors));
        let secure = accept(self.secure, Arc::clone(&server), Door::Secure, places, Some(acceptor));
        let healthz = accept_some(self.healthz, &server, Door::Health, open());
        let read_only = accept_some(self.read_only, &server, Door::ReadOnly, open());
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { tokio::join!(secure, healthz, read_only); } => {}
        }
        Ok(())
    }
}

/// ring's algorithms, limited to the named TLS 1.2 suites and the given key exchanges.
fn provider(names: &[String], curves: Option<&[i64]>) -> rustls::crypto::CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    if let Some(curves) = curves.filter(|curves| !curves.is_empty()) {
        let groups = provider.kx_groups.clone();
        let named = |id: &i64| groups.iter().find(|group| i64::from(u16::from(group.name())) == *id).copied();
        provider.kx_groups = curves.iter().filter_map(named).collect();
    }
    if !names.is_empty() {
        provider.cipher_suites.retain(|suite| {
            let name = suite.suite().as_str().unwrap_or_default();
            suite.tls13().is_some() || names.iter().any(|wanted| wanted == name)
        });
    }
    provider
}

async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError::Listen { address, source })
}

async fn bind_some(address: Option<SocketAddr>) -> Result<Option<TcpListener>, BindError> {
    match address {
        Some(address) => bind(address).await.map(Some),
        None => Ok(None),
    }
}

async fn accept_some(listener: Option<TcpListener>, server: &Arc<Server>, door: Door, places: Arc<Places>) {
    if let Some(listener) = listener {
        accept(listener, Arc::clone(server), door, places, None).await;
    }
}

async fn accept(listener: TcpListener, server: Arc<Server>, door: Door, places: Arc<Places>, tls: Option<TlsAcceptor>) {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                failing = false;
                let Ok(place) = places.admit(peer.ip()) else { continue };
                crate::supervise::spawn("connection", connection(tcp, Arc::clone(&server), door, tls.clone(), place));
            }
            Err(error) => {
                // Out of file descriptors, or the peer disconnected: neither is solved by an immediate retry.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(
                        error = with_causes(&error),
                        ?door,
                        "accept failed; closing an unauthenticated connection"
                    );
                }
                places.evict_one();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(tcp: TcpStream, server: Arc<Server>, door: Door, tls: Option<TlsAcceptor>, place: Arc<Place>) {
    let _ = tcp.set_nodelay(true);
    if let Err(error) = keep_alive(&tcp) {
        tracing::debug!(error = with_causes(&error), "TCP keepalive");
    }
    let Some(tls) = tls else { return serve(Box::new(tcp), server, door, Arc::new([]), place).await };
    let shaken = tokio::select! {
        shaken = tls.accept(tcp) => shaken,
        closed = place.closed() => return tracing::debug!(?closed, "a TLS handshake was aborted"),
    };
    match shaken {
        Ok(stream) => {
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let chain: Arc<[CertificateDer<'static>]> = chain.iter().map(|c| c.clone().into_owned()).collect();
            if server.access.has_certificate(&chain) {
                place.identify();
            }
            serve(Box::new(stream), server, door, chain, place).await;
        }
        Err(error) => tracing::debug!(error = with_causes(&error), "a TLS handshake failed"),
    }
}

fn keep_alive(tcp: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(tcp, true)?;
    sockopt::set_tcp_keepidle(tcp, KEEPALIVE.idle)?;
    sockopt::set_tcp_keepintvl(tcp, KEEPALIVE.interval)?;
    sockopt::set_tcp_keepcnt(tcp, KEEPALIVE.probes)?;
    Ok(())
}

/// A type for connections with and without TLS: otherwise the program would contain two HTTP servers.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn serve(
    stream: Box<dyn Stream>,
    server: Arc<Server>,
    door: Door,
    chain: Arc<[CertificateDer<'static>]>,
    place: Arc<Place>,
) {
    let holder = Arc::clone(&place);
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, chain, open) = (Arc::clone(&server), Arc::clone(&chain), holder.open());
        async move { Ok::<_, std::convert::Infallible>(answer(server, door, chain, open, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Before the protocol is known and between requests, hyper has no timeout; those of [`Place`] apply.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(PING_INTERVAL))
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(100)
        .max_header_list_size(MAX_HEADERS)
        .max_pending_accept_reset_streams(Some(MAX_RESETS));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        closed = place.closed() => {
            tracing::debug!(?closed, "a connection is closed");
            if closed == Closed::Evicted {
                return;
            }
            connection.as_mut().graceful_shutdown();
            let Ok(ended) = tokio::time::timeout(LINGER, connection).await else { return };
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = with_causes(&*error), "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_curves_that_are_named_are_offered_in_their_order() {
        let offered = |curves: Option<&[i64]>| -> Vec<u16> {
            provider(&[], curves).kx_groups.iter().map(|group| u16::from(group.name())).collect()
        };
        assert_eq!(offered(Some(&[24, 4588, 23])), [24, 23]);
        assert_eq!(offered(Some(&[])), offered(None));
        assert_eq!(offered(None).len(), 3);
    }
}
