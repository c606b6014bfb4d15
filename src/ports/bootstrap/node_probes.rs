//! What `bootstrap status` finds out about the machine besides its files and units.

use std::net::IpAddr;
use std::path::Path;

use async_trait::async_trait;

use crate::core::bootstrap::node_status::DiskStatus;
use crate::core::network::cni::RuntimeNetwork;
use crate::ports::node::RuntimeError;

/// Looks at the machine and asks servers from it. Nothing is changed.
#[async_trait]
pub trait NodeProbes: Send + Sync {
    /// Machine id and boot id; empty where the machine has none.
    fn identity(&self) -> (String, String);
    /// True if an interface of this machine has the address.
    fn has_address(&self, address: IpAddr) -> bool;
    /// Free space where a path is; `None` if it does not exist.
    fn space(&self, path: &Path) -> Option<DiskStatus>;
    /// What the runtime says of its network.
    async fn runtime_network(&self) -> Result<RuntimeNetwork, RuntimeError>;
    /// The addresses that a DNS server returns for a name; the error is a text for people.
    async fn resolve(&self, server: IpAddr, name: &str) -> Result<Vec<IpAddr>, String>;
}
