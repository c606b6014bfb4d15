//! The default pod network, decided: one bridge per node, plain routes between the nodes, nothing encapsulated.
//!
//! From the cluster's Node objects follow three things on each of them: the CNI configuration for its own pods
//! ([`conflist`]), a route to every other node's pods ([`routes`], as far as
//! its claims count: [`claims`]), and one rule that hides pod addresses from the
//! world outside ([`masquerade`]). The bridge is the CNI plugin's; what it lost is put back ([`bridge`]).

pub mod bridge;
pub mod claims;
pub mod conflist;
pub mod kernel_events;
pub mod masquerade;
pub mod node;
pub mod routes;

pub use bridge::{BridgeChange, ObservedBridge};
pub use node::NodeNetwork;
pub use routes::{Route, RouteChange};
