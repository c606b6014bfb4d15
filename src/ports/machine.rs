//! The machine's facts.

use crate::core::model::MachineFacts;

/// Reads what the machine is.
pub trait Machine: Send + Sync {
    /// All facts; what cannot be read stays empty. `node_name` is looked up for addresses.
    fn observe(&self, node_name: &str) -> MachineFacts;
}
