//! The node's side of the default pod network: routes, the masquerade rule, the CNI configuration.

use std::net::IpAddr;

use async_trait::async_trait;
use serde_json::Value;

use crate::core::network::{BridgeChange, ObservedBridge, Route, RouteChange};

/// Why the node's network could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum PodNetworkError {
    /// The kernel refused a netlink request.
    #[error("{what}")]
    Netlink {
        /// What was asked, e.g. `set route 10.244.1.0/24 via 10.0.0.2`.
        what: String,
        /// The kernel's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The nftables program failed.
    #[error("{program}: {message}")]
    Rules {
        /// The program that was run.
        program: String,
        /// Its error output, or why it could not be started.
        message: String,
    },
    /// A file could not be written.
    #[error("write {path}")]
    File {
        /// Path of the file.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// What of the node's network changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkChange {
    /// Routes alone, which happens with every pod.
    Routes,
    /// Anything else that the pod network stands on: its rules, forwarding, the bridge, the CNI configuration.
    Base,
}

/// Reads and changes the node's network. Every change is idempotent.
#[async_trait]
pub trait PodNetwork: Send + Sync {
    /// The routes of ours (by their protocol number) in the main table.
    async fn observe_routes(&self) -> Result<Vec<Route>, PodNetworkError>;
    /// Applies one change.
    async fn apply_route(&self, change: &RouteChange) -> Result<(), PodNetworkError>;
    /// The MTU of the link that holds `address`; `None` when no link does.
    async fn observe_mtu(&self, address: IpAddr) -> Result<Option<u32>, PodNetworkError>;
    /// Lets the node forward packets of IPv4, and of IPv6 if asked; true when it did not before.
    async fn apply_forwarding(&self, ipv6: bool) -> Result<bool, PodNetworkError>;
    /// Puts the nftables ruleset in place unless its tables are as this call left them last; true when it was put.
    async fn apply_ruleset(&self, ruleset: &str) -> Result<bool, PodNetworkError>;
    /// The pods' bridge, and the links of the pods that the CNI library remembers.
    async fn observe_bridge(&self) -> Result<ObservedBridge, PodNetworkError>;
    /// Applies one change to the bridge.
    async fn apply_bridge(&self, change: &BridgeChange) -> Result<(), PodNetworkError>;
    /// Writes the CNI configuration; true when the file changed.
    async fn apply_conflist(&self, conflist: &Value) -> Result<bool, PodNetworkError>;
    /// What is there of the pod network and of kube-proxy's rules, a word each, e.g. `bridge cni0`.
    async fn observe_traces(&self) -> Result<Vec<String>, PodNetworkError>;
    /// Removes all of that.
    async fn remove_traces(&self) -> Result<(), PodNetworkError>;
    /// Returns once somebody else changed something since the last call. Some changes are announced by nobody: look now
    /// and then too.
    async fn changed(&self) -> NetworkChange;
}
