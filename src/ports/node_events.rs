//! Events about Nodes, from the node agent.

use async_trait::async_trait;

use super::ApiError;

/// Tells users at a Node what its node would not tell itself.
#[async_trait]
pub trait NodeEvents: Send + Sync {
    /// The pod CIDR that a Node claims is not routed to. All nodes tell the same: one event is enough for them together.
    async fn report_refused_range(&self, node: &str, cidr: &str, message: &str) -> Result<(), ApiError>;
}
