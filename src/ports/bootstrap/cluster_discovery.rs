//! First contact of a node with a cluster that it does not trust yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::ClusterObjects;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    /// Nothing answers there, or not in TLS.
    #[error("no API server answers at {server}")]
    Unreachable {
        /// The address that was tried.
        server: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An API server refused to show `cluster-info`.
    #[error("the API server at {server} does not show configmap kube-public/cluster-info: {message}")]
    Refused {
        /// The address that was tried.
        server: String,
        /// Its text.
        message: String,
    },
}

/// Connections of a node without credentials.
#[async_trait]
pub trait ClusterDiscovery: Send + Sync {
    /// Reads the data of `cluster-info` anonymously. Without `ca` the answering server is not verified: nothing of
    /// the answer may be believed before its signature was checked. With `ca` (PEM) the server must prove itself.
    async fn read_cluster_info(&self, server: &str, ca: Option<&str>)
    -> Result<BTreeMap<String, String>, ContactError>;
    /// The cluster's objects with a bootstrap token as credentials, or with none.
    fn connect(&self, server: &str, ca: &str, token: Option<&str>) -> Result<Arc<dyn ClusterObjects>, ContactError>;
}
