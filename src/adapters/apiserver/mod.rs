//! The API server: clients from kubeconfig files, watches, and requests for objects.

pub mod api_servers;
pub mod authorization;
pub mod cluster_objects;
pub mod connect;
pub mod discovery;
pub mod key_handover;
pub mod kubeconfig;
pub mod kubelet_requests;
pub mod node;
pub mod node_events;
pub mod node_networks;
pub mod objects;
pub mod pods;
pub mod reachability;
mod reconnecting;
mod request_counts;
pub mod reviews;
pub mod session;
pub mod storage;
pub mod throttle;
pub mod tls;
pub mod version;
mod watching;
