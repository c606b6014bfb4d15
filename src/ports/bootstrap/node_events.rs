//! Events about Nodes, by the node agent.

use async_trait::async_trait;

use crate::ports::node::ApiError;

/// Reports events about other nodes.
#[async_trait]
pub trait NodeEvents: Send + Sync {
    /// Reports that the pod CIDR claimed by a Node is not routed. All nodes report the same, so one event is enough for
    /// all of them.
    async fn report_refused_range(&self, node: &str, cidr: &str, message: &str) -> Result<(), ApiError>;
}
