//! The operator's settings for a cluster and this node, validated and with all defaults.

mod cluster;
mod component;
mod endpoint;
mod node;

pub use cluster::{
    AuditSpec, BALANCER_PORT, CertSpec, ClusterSpec, ComponentSource, ControlPlaneMode, ExternalEtcd, ExtraArgs,
    NetworkSpec, ProxyMode, SnapshotSpec,
};
pub use component::Component;
pub use endpoint::{Endpoint, EndpointError};
pub use node::{NodeSpec, Paths, Programs, Taint};

/// Cluster and node settings: what every phase plans from.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Settings that all nodes share.
    pub cluster: ClusterSpec,
    /// Settings of this node alone.
    pub node: NodeSpec,
}
