//! Whether an endpoint responds, and connections to clusters.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::ClusterObjects;

/// Checks endpoints, and connects by kubeconfig.
#[async_trait]
pub trait Reachability: Send + Sync {
    /// True if a GET of this URL returns 200. `ca` (PEM) verifies an HTTPS server.
    async fn answers(&self, url: &str, ca: Option<&str>) -> bool;
    /// The objects in the cluster of a kubeconfig. Nothing is sent yet.
    async fn connect(
        &self,
        kubeconfig: &Path,
    ) -> Result<Arc<dyn ClusterObjects>, Box<dyn std::error::Error + Send + Sync>>;
}
