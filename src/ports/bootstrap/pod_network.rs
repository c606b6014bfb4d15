//! The node's side of the built-in pod network: routes, the masquerade rule, the CNI configuration.

use std::net::IpAddr;

use async_trait::async_trait;
use serde_json::Value;

use crate::core::network::{BridgeChange, ObservedBridge, Route, RouteChange};

/// Why the node's network could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum PodNetworkError {
    /// The kernel rejected a netlink request.
    #[error("{what}")]
    Netlink {
        /// Description of the request, e.g. `set route 10.244.1.0/24 via 10.0.0.2`.
        what: String,
        /// Error of the kernel.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The nftables program failed.
    #[error("{program}: {message}")]
    Rules {
        /// The program that was run.
        program: String,
        /// Its standard error, or why it could not be started.
        message: String,
    },
    /// A file could not be written.
    #[error("write {path}")]
    File {
        /// Path of the file.
        path: String,
        /// Error of the system call.
        #[source]
        source: std::io::Error,
    },
}

/// Which part of the node's network changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkChange {
    /// Only routes, which happens with every pod.
    Routes,
    /// Anything else that the pod network depends on: its rules, forwarding, the bridge, the CNI configuration.
    Base,
}

/// Reads and changes the node's network. Every change is idempotent.
#[async_trait]
pub trait PodNetwork: Send + Sync {
    /// Our routes (by their protocol number) in the main table.
    async fn observe_routes(&self) -> Result<Vec<Route>, PodNetworkError>;
    /// Adds, replaces or removes one route.
    async fn apply_route(&self, change: &RouteChange) -> Result<(), PodNetworkError>;
    /// The MTU of the link with `address`; `None` if no link has it.
    async fn observe_mtu(&self, address: IpAddr) -> Result<Option<u32>, PodNetworkError>;
    /// Enables forwarding of IPv4 packets, and of IPv6 if requested; true if it was disabled.
    async fn apply_forwarding(&self, ipv6: bool) -> Result<bool, PodNetworkError>;
    /// Installs the nftables ruleset unless its tables are unchanged since the last call; true if it was installed.
    async fn apply_ruleset(&self, ruleset: &str) -> Result<bool, PodNetworkError>;
    /// The pods' bridge, and the links of the pods in the CNI library's cache.
    async fn observe_bridge(&self) -> Result<ObservedBridge, PodNetworkError>;
    /// Applies one change to the bridge.
    async fn apply_bridge(&self, change: &BridgeChange) -> Result<(), PodNetworkError>;
    /// Writes the CNI configuration; true if the file changed.
    async fn apply_conflist(&self, conflist: &Value) -> Result<bool, PodNetworkError>;
    /// What exists of the pod network and of kube-proxy's rules, as short descriptions, e.g. `bridge cni0`.
    async fn observe_traces(&self) -> Result<Vec<String>, PodNetworkError>;
    /// Removes everything that [`Self::observe_traces`] lists.
    async fn remove_traces(&self) -> Result<(), PodNetworkError>;
    /// Returns when another process changed something since the last call. Some changes are not reported by the kernel,
    /// so the state has to be checked periodically too.
    async fn changed(&self) -> NetworkChange;
}
