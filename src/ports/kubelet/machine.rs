//! Properties of the machine.

use async_trait::async_trait;

use crate::core::model::MachineFacts;

/// Reads the properties of the machine.
#[async_trait]
pub trait Machine: Send + Sync {
    /// All properties; what cannot be read is empty, and what times out has its last value. `look_up` is the node's
    /// name, which is resolved to addresses; `None` if they are configured.
    async fn observe(&self, look_up: Option<&str>) -> MachineFacts;
}
