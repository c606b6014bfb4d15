//! Creates clients from kubeconfig files, and detects renewed credentials.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{AuthInfo, KubeConfigOptions};
use kube::{Client, Config};
use secrecy::ExposeSecret;
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};

use super::authorization::{Authorization, CredentialError};
use super::kubeconfig::{KubeconfigError, read_kubeconfig};
use super::request_counts::RequestCounts;
use super::throttle::Throttle;
use super::tls::{Identity, TlsError, https};
use crate::adapters::keepalive;
use crate::adapters::names::Names;
use crate::offload::{Lanes, Stalled};
use crate::telemetry::Metrics;

/// Why no client could be created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing, unreadable, or not a kubeconfig.
    #[error("read kubeconfig {path}")]
    Read {
        /// Path of the kubeconfig.
        path: PathBuf,
        source: KubeconfigError,
    },
    /// Its current context refers to missing entries, or its files cannot be read.
    #[error("kubeconfig {path}")]
    Kubeconfig {
        /// Path of the kubeconfig.
        path: PathBuf,
        source: kube::config::KubeconfigError,
    },
    /// It is configured to use a proxy, or the environment is.
    #[error(
        "kubeconfig {path}: a proxy (proxy-url, or HTTPS_PROXY in the environment) is not supported: the API server must be reachable directly"
    )]
    Proxy {
        /// Path of the kubeconfig.
        path: PathBuf,
    },
    /// The server's address is invalid.
    #[error("kubeconfig {path}: server \"{server}\" does not begin with https://")]
    Server {
        /// Path of the kubeconfig.
        path: PathBuf,
        /// The address as written.
        server: String,
    },
    /// No client can be created from it.
    #[error("kubeconfig {path}")]
    Client {
        /// Path of the kubeconfig.
        path: PathBuf,
        source: ClientError,
    },
    /// Reading its files or running its credential plugin timed out.
    #[error("kubeconfig {path}")]
    Stalled {
        /// Path of the kubeconfig.
        path: PathBuf,
        source: Stalled,
    },
}

/// Why no client can be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file of its user cannot be read.
    #[error("read the {what} {path}")]
    File {
        /// Purpose of the file.
        what: &'static str,
        path: String,
        source: io::Error,
    },
    /// Inline data of its user is not base64.
    #[error("{what} of its user is not base64")]
    Data { what: &'static str },
    /// A certificate without a key, or a key without a certificate.
    #[error("its user has a client certificate without a key, or a key without a certificate")]
    Half,
    /// TLS cannot be configured with it.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its user's credential cannot be obtained.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The user to impersonate cannot be written in a header.
    #[error("impersonation")]
    Impersonation(#[source] Box<kube::Error>),
}

impl Error {
    fn stalled(path: &Path) -> impl FnOnce(Stalled) -> Self {
        let path = path.to_owned();
        move |source| Self::Stalled { path, source }
    }
}

/// Creates clients; reads kubeconfigs and resolves names off the runtime's thread. Clones share its state.
#[derive(Clone)]
pub struct Connector {
    names: Names,
    lanes: Lanes,
    throttle: Option<Throttle>,
    /// Where requests are counted, and when the client certificate expires; `None` in programs without metrics.
    metrics: Option<Arc<Metrics>>,
    /// When certificates of credential plugins end, by the kubeconfig.
    ends: Arc<Mutex<BTreeMap<PathBuf, Timestamp>>>,
}

impl Default for Connector {
    fn default() -> Self {
        let (names, lanes) = (Names::remembering(), Lanes::new("kubeconfig"));
        Self { names, lanes, throttle: None, metrics: None, ends: Arc::default() }
    }
}

impl Connector {
    /// A connector whose clients share a rate limit.
    pub fn throttled(throttle: Throttle) -> Self {
        Self { throttle: Some(throttle), ..Self::default() }
    }

    /// Counts the requests of its clients.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Builds a client from the file's current context. Nothing is sent yet; a credential plugin in it is run.
    ///
    /// # Errors
    /// The kubeconfig cannot be used, or reading it times out.
    pub async fn connect(&self, path: &Path) -> Result<Client, Error> {
        let (file, names, throttle) = (path.to_owned(), self.names.clone(), self.throttle.clone());
        let (runtime, metrics) = (tokio::runtime::Handle::current(), self.metrics.clone());
        let open = move || runtime.block_on(open(&file, names, throttle, metrics));
        let made = self.lanes.run(path.to_string_lossy(), "connect", open);
        let (client, end) = made.await.map_err(Error::stalled(path))??;
        if let Some(metrics) = &self.metrics {
            metrics.exec_plugin_ttl.with([]).set(end);
        }
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.remove(path);
        ends.extend(end.map(|end| (path.to_owned(), end)));
        Ok(client)
    }

    /// [`observe_credentials`]; `None` while the files do not respond.
    pub async fn observe_credentials(&self, path: &Path) -> Option<Vec<Option<SystemTime>>> {
        let file = path.to_owned();
        let look = self.lanes.run(path.to_string_lossy(), "look", move || observe_credentials(&file));
        let mut times = look.await.ok()?;
        let end = self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied();
        // The expiry of a plugin's certificate is a change too: the plugin must be run again.
        times.extend(end.filter(|end| Timestamp::now() >= *end).map(|end| Some(SystemTime::from(end))));
        Some(times)
    }
}

/// Creates a client from the file's current context, for a program that needs only one. Nothing is sent yet.
///
/// # Errors
/// The kubeconfig cannot be used, or reading it times out.
pub async fn connect(path: &Path) -> Result<Client, Error> {
    Connector::default().connect(path).await
}

/// The client, and when the certificate ends that a credential plugin gave it.
async fn open(
    path: &Path,
    names: Names,
    throttle: Option<Throttle>,
    metrics: Option<Arc<Metrics>>,
) -> Result<(Client, Option<Timestamp>), Error> {
    let unusable = |source| Error::Kubeconfig { path: path.to_owned(), source };
    let kubeconfig = read_kubeconfig(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    // The client library panics on an address without a scheme.
    for cluster in kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref()) {
        let server = cluster.server.clone().unwrap_or_default();
        if !server.starts_with("https://") {
            return Err(Error::Server { path: path.to_owned(), server });
        }
    }
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(unusable)?;
    config.connect_timeout = Some(Duration::from_secs(5));
    // For a server that hangs while its kernel still acknowledges: watches end on their own within this time.
    config.read_timeout = Some(Duration::from_secs(300));
    if config.proxy_url.is_some() {
        return Err(Error::Proxy { path: path.to_owned() });
    }
    let refused = |source| Error::Client { path: path.to_owned(), source };
    let own = read_identity(&config.auth_info).map_err(refused)?;
    if let Some(metrics) = &metrics {
        metrics.client_certificate_ttl.with([]).set(own.as_ref().and_then(Identity::expires_at));
    }
    let (authorization, given) = Authorization::of(&config.auth_info).await.map_err(|source| refused(source.into()))?;
    let (given, end) = given.unzip();
    let client = client(config, own.or(given), authorization, names, (throttle, metrics)).map_err(refused)?;
    Ok((client, end.flatten()))
}

/// Certificate and key of a user: inline data or, without it, files.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn read_identity(user: &AuthInfo) -> Result<Option<Identity>, ClientError> {
    let read = |what, data: Option<&str>, field, file: Option<&String>| match (data, file) {
        (Some(data), _) => STANDARD.decode(data).map(Some).map_err(|_| ClientError::Data { what: field }),
        (None, Some(path)) => {
            std::fs::read(path).map(Some).map_err(|source| ClientError::File { what, path: path.clone(), source })
        }
        (None, None) => Ok(None),
    };
    let chain = user.client_certificate_data.as_deref();
    let key = user.client_key_data.as_ref().map(ExposeSecret::expose_secret);
    let chain = read("client certificate", chain, "client-certificate-data", user.client_certificate.as_ref())?;
    let key = read("client key", key, "client-key-data", user.client_key.as_ref())?;
    match (chain, key) {
        (Some(chain), Some(key)) => Ok(Some(Identity::from_pem(&chain, &key)?)),
        (None, None) => Ok(None),
        _ => Err(ClientError::Half),
    }
}

/// Like the library's own client (`ClientBuilder::try_from`), except for the resolver, whose threads it does not limit,
/// its spans, and the credentials. User and proxy in the configuration are not used.
///
/// # Errors
/// TLS cannot be configured.
/// TLS cannot be spoken so.
pub fn client(
    config: Config,
    identity: Option<Identity>,
    authorization: Authorization,
    names: Names,
    (throttle, metrics): (Option<Throttle>, Option<Arc<Metrics>>),
) -> Result<Client, ClientError> {
    let mut http = HttpConnector::new_with_resolver(names);
    http.enforce_http(false);
    keepalive::enable_for(&mut http);
    let mut connector = TimeoutConnector::new(https(&config, identity, http)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let client: legacy::Client<_, Body> = legacy::Builder::new(TokioExecutor::new()).build(connector);
    let headers = config.extra_headers_layer().map_err(|error| ClientError::Impersonation(Box::new(error)))?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .layer(authorization)
        .layer(headers)
        .map_err(BoxError::from)
        .option_layer(throttle)
        .layer(RequestCounts::new(metrics))
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

/// Modification times of the kubeconfig and the client certificate it refers to. A client does not notice that its
/// certificate was rotated: compare this value, and reconnect when it differs.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn observe_credentials(path: &Path) -> Vec<Option<SystemTime>> {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let mut times = vec![modified(path)];
    if let Ok(kubeconfig) = read_kubeconfig(path) {
        let certificates =
            kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref()?.client_certificate.as_ref());
        times.extend(certificates.map(|certificate| modified(Path::new(certificate))));
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Timer of the connection to that port, from `/proc/net/tcp`: "02" is keepalive.
    fn timer_of(port: u16) -> Option<String> {
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let remote = format!(":{port:04X}");
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = lines.find(|fields| fields.get(2).is_some_and(|address| address.ends_with(&remote)));
        found.and_then(|fields| fields[5].split(':').next().map(str::to_owned))
    }

    #[tokio::test]
    async fn the_kernel_watches_over_connections_that_only_wait() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let client = client(config, None, Authorization::nobody(), Names::remembering(), (None, None)).unwrap();
        let asks = tokio::spawn(async move { client.apiserver_version().await });
        let (silent, _) = listener.accept().await.unwrap();
        silent.readable().await.unwrap();
        // Wait until the request is acknowledged; before that the table shows its retransmission timer.
        tokio::time::timeout(Duration::from_secs(10), async {
            while timer_of(address.port()).as_deref() != Some("02") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("no keepalive");
        asks.abort();
    }
}
