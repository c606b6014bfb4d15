//! The cluster's API, by the kubeconfigs of this node.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ports::Ports;
use crate::core::model::spec::Spec;
use crate::core::model::time::Moment;
use crate::ports::bootstrap::{ClusterObjects, ClusterObjectsError, FileError};

/// How long to retry while an API server is still setting itself up.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no connection to the API.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig could not be looked for.
    #[error(transparent)]
    File(#[from] FileError),
    /// Only control planes have the administrator's kubeconfig.
    #[error("{path} does not exist: run this on a control plane")]
    NoControlPlane {
        /// Path of the kubeconfig.
        path: PathBuf,
    },
    /// The kubeconfig does not lead to an API server.
    #[error("connect to the cluster of {kubeconfig}")]
    Connect {
        /// Path of the kubeconfig.
        kubeconfig: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The API with the administrator's credentials (`admin.conf`), which control planes have.
///
/// # Errors
/// This node has no such kubeconfig, or it does not lead to an API server. Whether one answers shows with the first
/// request.
pub async fn administrator(ports: &Ports, spec: &Spec) -> Result<Arc<dyn ClusterObjects>, ConnectError> {
    let path = spec.node.paths.kubeconfig("admin.conf");
    match ports.files.info(&path)? {
        Some(_) => connect(ports, path).await,
        None => Err(ConnectError::NoControlPlane { path }),
    }
}

/// The API with the best credentials that this node has. `super-admin.conf` works before any RBAC object exists.
pub async fn best(ports: &Ports, spec: &Spec) -> Result<Arc<dyn ClusterObjects>, ConnectError> {
    let mut path = spec.node.paths.kubeconfig("super-admin.conf");
    for name in ["super-admin.conf", "admin.conf", "kubelet.conf"] {
        path = spec.node.paths.kubeconfig(name);
        if ports.files.info(&path)?.is_some() {
            break;
        }
    }
    connect(ports, path).await
}

/// The API with the credentials of a kubeconfig.
pub async fn connect(ports: &Ports, kubeconfig: PathBuf) -> Result<Arc<dyn ClusterObjects>, ConnectError> {
    ports.net.connect(&kubeconfig).await.map_err(|source| ConnectError::Connect { kubeconfig, source })
}

/// Retries a request while the API server is still setting itself up.
pub async fn retry<T, F: Future<Output = Result<T, ClusterObjectsError>>>(
    attempt: impl Fn() -> F,
) -> Result<T, ClusterObjectsError> {
    let deadline = tokio::time::Instant::now().later(PATIENCE);
    loop {
        match attempt().await {
            Err(error) if error.is_transient() && tokio::time::Instant::now() < deadline => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the API server does not answer yet; retrying"
                );
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
