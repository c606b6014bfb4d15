//! Sockets: binds the ports, takes connections, and hands each request to the dispatcher.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::client_ca::{AskForCertificate, ClientCa, ClientCaError};
use super::dispatch::{Door, answer};
use super::{Server, ServerPorts, Settings};
use crate::offload::Lanes;

/// A client that has not finished its handshake or its request's head by then is cut off.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most connections at a time; further ones wait in the kernel.
const MAX_CONNECTIONS: usize = 1000;

const TLS13_ONLY: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A port is taken, or an address is not this machine's.
    #[error("listen on {address}")]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The client CA file cannot be used.
    #[error(transparent)]
    ClientCa(#[from] ClientCaError),
    /// No protocol version of TLS can be offered.
    #[error("TLS")]
    Tls(#[source] rustls::Error),
}

/// Bound ports, not served yet.
pub struct Listeners {
    secure: TcpListener,
    healthz: Option<TcpListener>,
    read_only: Option<TcpListener>,
}

impl Listeners {
    /// Binds all ports, so that a taken one is known before anything else starts.
    pub async fn bind(settings: &Settings) -> Result<Self, BindError> {
        Ok(Self {
            secure: bind(settings.listen).await?,
            healthz: bind_some(settings.healthz).await?,
            read_only: bind_some(settings.read_only).await?,
        })
    }

    /// Where the secure port is; of use when its number was 0.
    pub fn secure_address(&self) -> io::Result<SocketAddr> {
        self.secure.local_addr()
    }

    /// Where the health port is.
    pub fn healthz_address(&self) -> Option<SocketAddr> {
        self.healthz.as_ref().and_then(|l| l.local_addr().ok())
    }

    /// Serves until `stop`. Open connections are not waited for: streams may last for hours.
    pub async fn serve(self, settings: Settings, ports: ServerPorts, stop: CancellationToken) -> Result<(), BindError> {
        let provider = Arc::new(provider(&settings.cipher_suites));
        let client_ca = match &settings.client_ca_file {
            Some(path) => Some(ClientCa::load(path, Arc::clone(&provider))?),
            None => None,
        };
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(if settings.tls13_only { TLS13_ONLY } else { rustls::ALL_VERSIONS })
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
        let secure = accept(self.secure, Arc::clone(&server), Door::Secure, Some(acceptor));
        let healthz = accept_some(self.healthz, &server, Door::Health);
        let read_only = accept_some(self.read_only, &server, Door::ReadOnly);
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { tokio::join!(secure, healthz, read_only); } => {}
        }
        Ok(())
    }
}

/// All that ring offers, or of TLS 1.2 only the suites named.
fn provider(names: &[String]) -> rustls::crypto::CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
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

async fn accept_some(listener: Option<TcpListener>, server: &Arc<Server>, door: Door) {
    if let Some(listener) = listener {
        accept(listener, Arc::clone(server), door, None).await;
    }
}

async fn accept(listener: TcpListener, server: Arc<Server>, door: Door, tls: Option<TlsAcceptor>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                // Out of file descriptors, or the peer left already: neither goes away by trying at once.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (server, tls) = (Arc::clone(&server), tls.clone());
        tokio::spawn(async move {
            connection(tcp, server, door, tls).await;
            drop(place);
        });
    }
}

async fn connection(tcp: TcpStream, server: Arc<Server>, door: Door, tls: Option<TlsAcceptor>) {
    let _ = tcp.set_nodelay(true);
    let Some(tls) = tls else { return serve(tcp, server, door, Arc::new([])).await };
    match tokio::time::timeout(PATIENCE, tls.accept(tcp)).await {
        Ok(Ok(stream)) => {
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let chain: Arc<[CertificateDer<'static>]> = chain.iter().map(|c| c.clone().into_owned()).collect();
            serve(stream, server, door, chain).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    server: Arc<Server>,
    door: Door,
    chain: Arc<[CertificateDer<'static>]>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, chain) = (Arc::clone(&server), Arc::clone(&chain));
        async move { Ok::<_, std::convert::Infallible>(answer(server, door, chain, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    // Pings find peers that vanished without a word.
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(PATIENCE)).max_concurrent_streams(100);
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection ended");
    }
}
