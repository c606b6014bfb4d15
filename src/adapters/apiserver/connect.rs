//! A client from a kubeconfig file, and word of when its credentials were renewed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};

use super::kubeconfig::{KubeconfigError, read_kubeconfig};
use super::throttle::Throttle;
use crate::adapters::names::Names;
use crate::offload::{Lanes, Stalled};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing, unreadable, or no kubeconfig.
    #[error("read kubeconfig {path}")]
    Read {
        /// Path of the kubeconfig.
        path: PathBuf,
        /// The cause.
        source: KubeconfigError,
    },
    /// Its current context names what is not in it, or its files cannot be read.
    #[error("kubeconfig {path}")]
    Kubeconfig {
        /// Path of the kubeconfig.
        path: PathBuf,
        /// The cause.
        source: kube::config::KubeconfigError,
    },
    /// It asks for a proxy, or the environment does.
    #[error(
        "kubeconfig {path}: a proxy (proxy-url, or HTTPS_PROXY of the environment) is not supported: the API server has to be reached itself"
    )]
    Proxy {
        /// Path of the kubeconfig.
        path: PathBuf,
    },
    /// The server's address cannot be used.
    #[error("kubeconfig {path}: server \"{server}\" does not begin with https://")]
    Server {
        /// Path of the kubeconfig.
        path: PathBuf,
        /// The address as written.
        server: String,
    },
    /// TLS material in it is not usable.
    #[error("kubeconfig {path}: make a client")]
    Client {
        /// Path of the kubeconfig.
        path: PathBuf,
        /// The cause.
        #[source]
        source: kube::Error,
    },
    /// Its files or its credential plugin do not answer.
    #[error("kubeconfig {path}")]
    Stalled {
        /// Path of the kubeconfig.
        path: PathBuf,
        /// The cause.
        source: Stalled,
    },
}

impl Error {
    fn stalled(path: &Path) -> impl FnOnce(Stalled) -> Self {
        let path = path.to_owned();
        move |source| Self::Stalled { path, source }
    }
}

/// Makes clients; reads kubeconfigs and asks name servers off the runtime's thread. Cloning gives another handle.
#[derive(Clone)]
pub struct Connector {
    names: Names,
    lanes: Lanes,
    throttle: Option<Throttle>,
}

impl Default for Connector {
    fn default() -> Self {
        Self { names: Names::remembering(), lanes: Lanes::new("kubeconfig"), throttle: None }
    }
}

impl Connector {
    /// One whose clients hold their requests to a rate, all together.
    pub fn throttled(throttle: Throttle) -> Self {
        Self { throttle: Some(throttle), ..Self::default() }
    }

    /// Builds a client from the file's current context. Nothing is sent yet; a credential plugin in it is run.
    ///
    /// # Errors
    /// The kubeconfig cannot be used, or does not answer.
    pub async fn connect(&self, path: &Path) -> Result<Client, Error> {
        let (file, names, throttle) = (path.to_owned(), self.names.clone(), self.throttle.clone());
        let runtime = tokio::runtime::Handle::current();
        let open = move || runtime.block_on(open(&file, names, throttle));
        let made = self.lanes.run(path.to_string_lossy(), "connect", open);
        made.await.map_err(Error::stalled(path))?
    }

    /// [`observe_credentials`]; `None` while the files do not answer.
    pub async fn observe_credentials(&self, path: &Path) -> Option<Vec<Option<SystemTime>>> {
        let file = path.to_owned();
        self.lanes.run(path.to_string_lossy(), "look", move || observe_credentials(&file)).await.ok()
    }

    /// Waits until the credentials are others than `before`, looking every `pause`.
    pub async fn credentials_changed(&self, path: &Path, before: Option<Vec<Option<SystemTime>>>, pause: Duration) {
        loop {
            tokio::time::sleep(pause).await;
            let now = self.observe_credentials(path).await;
            if now.is_some() && now != before {
                return;
            }
        }
    }
}

/// Builds a client from the file's current context, for a program that makes one. Nothing is sent yet.
///
/// # Errors
/// The kubeconfig cannot be used, or does not answer.
pub async fn connect(path: &Path) -> Result<Client, Error> {
    Connector::default().connect(path).await
}

async fn open(path: &Path, names: Names, throttle: Option<Throttle>) -> Result<Client, Error> {
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
    if config.proxy_url.is_some() {
        return Err(Error::Proxy { path: path.to_owned() });
    }
    client(config, names, throttle).map_err(|source| Error::Client { path: path.to_owned(), source })
}

/// The library's own client but for the resolver, whose threads it does not bound (`ClientBuilder::try_from`), and its
/// spans. The configuration's proxy is not used.
pub fn client(config: Config, names: Names, throttle: Option<Throttle>) -> kube::Result<Client> {
    let mut http = HttpConnector::new_with_resolver(names);
    http.enforce_http(false);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(http)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let client: legacy::Client<_, Body> = legacy::Builder::new(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .option_layer(throttle)
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

/// When the kubeconfig or the client certificate it names was last replaced. A client does not notice by itself that
/// its certificate was rotated: compare this value, and connect again when it differs.
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
