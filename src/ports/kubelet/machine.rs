//! The machine's facts.

use async_trait::async_trait;

use crate::core::model::MachineFacts;

/// Reads what the machine is.
#[async_trait]
pub trait Machine: Send + Sync {
    /// All facts; what cannot be read stays empty, and what does not answer in time as it was. `look_up` is the node's
    /// name, looked up for addresses; `None` where they are given.
    async fn observe(&self, look_up: Option<&str>) -> MachineFacts;
}
