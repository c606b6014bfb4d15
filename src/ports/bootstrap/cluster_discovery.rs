//! First contact of a node with a cluster that it does not trust yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::ClusterObjects;

/// Why there was no response.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    /// Nothing responds at the address, or not with TLS.
    #[error("no API server answers at {server}")]
    Unreachable {
        /// The address that was tried.
        server: String,
        /// Error of the connection.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server does not allow reading `cluster-info`.
    #[error("the API server at {server} does not show configmap kube-public/cluster-info: {message}")]
    Refused {
        /// The address that was tried.
        server: String,
        /// Message of the API server.
        message: String,
    },
}

/// Connections of a node without credentials.
#[async_trait]
pub trait ClusterDiscovery: Send + Sync {
    /// Reads the data of `cluster-info` anonymously. Without `ca` the server is not verified: nothing in the response
    /// may be trusted before its signature was checked. With `ca` (PEM) the server is verified.
    async fn read_cluster_info(&self, server: &str, ca: Option<&str>)
    -> Result<BTreeMap<String, String>, ContactError>;
    /// The cluster's objects, with a bootstrap token as credentials, or without credentials.
    fn connect(&self, server: &str, ca: &str, token: Option<&str>) -> Result<Arc<dyn ClusterObjects>, ContactError>;
}
