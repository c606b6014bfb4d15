//! Events about Nodes, from the node agent.

use async_trait::async_trait;

use crate::ports::node::ApiError;

/// Reports at a Node what its own node would not report.
#[async_trait]
pub trait NodeEvents: Send + Sync {
    /// The pod CIDR that a Node claims is not routed to. All nodes report the same: one event is enough for all of them.
    async fn report_refused_range(&self, node: &str, cidr: &str, message: &str) -> Result<(), ApiError>;
}
