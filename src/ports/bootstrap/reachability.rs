//! Whether an endpoint answers, and the way to a cluster's objects.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::ClusterObjects;

/// Asks endpoints, and connects by kubeconfig.
#[async_trait]
pub trait Reachability: Send + Sync {
    /// True when a GET of this URL is answered with 200. `ca` (PEM) must vouch for an HTTPS server.
    async fn answers(&self, url: &str, ca: Option<&str>) -> bool;
    /// The objects of the cluster of a kubeconfig. Nothing is sent yet.
    async fn connect(
        &self,
        kubeconfig: &Path,
    ) -> Result<Arc<dyn ClusterObjects>, Box<dyn std::error::Error + Send + Sync>>;
}
