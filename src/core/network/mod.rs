//! Decisions of the built-in pod network: one bridge per node, plain routes between the nodes, no encapsulation.
//!
//! Each node derives three things from the cluster's Node objects: the CNI configuration for its own pods
//! ([`conflist`]), a route to every other node's pods ([`routes`], for accepted [`claims`]), and one rule that
//! masquerades traffic to the outside ([`masquerade`]). The CNI plugin creates the bridge; damage to it is repaired
//! ([`bridge`]).

pub mod bridge;
pub mod claims;
pub mod cni;
pub mod conflist;
pub mod kernel_events;
pub mod masquerade;
pub mod node;
pub mod routes;

pub use bridge::{BridgeChange, ObservedBridge};
pub use node::NodeNetwork;
pub use routes::{Route, RouteChange};
