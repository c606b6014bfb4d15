//! A client from a kubeconfig file, and word of when its credentials were renewed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing, unreadable, or no kubeconfig.
    #[error("read kubeconfig {path}")]
    Read {
        /// Path of the kubeconfig.
        path: PathBuf,
        /// The cause.
        #[source]
        source: kube::config::KubeconfigError,
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
}

/// Builds a client from the file's current context. Nothing is sent yet.
pub async fn connect(path: &Path) -> Result<Client, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let kubeconfig = Kubeconfig::read_from(path).map_err(read)?;
    // The client library panics on an address without a scheme.
    for cluster in kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref()) {
        let server = cluster.server.clone().unwrap_or_default();
        if !server.starts_with("https://") {
            return Err(Error::Server { path: path.to_owned(), server });
        }
    }
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(read)?;
    config.connect_timeout = Some(Duration::from_secs(5));
    Client::try_from(config).map_err(|source| Error::Client { path: path.to_owned(), source })
}

/// When the kubeconfig or the client certificate it names was last replaced. A client does not notice by itself that
/// its certificate was rotated: compare this value, and connect again when it differs.
pub fn observe_credentials(path: &Path) -> Vec<Option<SystemTime>> {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let mut times = vec![modified(path)];
    if let Ok(kubeconfig) = Kubeconfig::read_from(path) {
        let certificates =
            kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref()?.client_certificate.as_ref());
        times.extend(certificates.map(|certificate| modified(Path::new(certificate))));
    }
    times
}
