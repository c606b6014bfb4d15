//! What the kubelet reports about the static pods of its node.

use std::io;

use async_trait::async_trait;

use crate::core::static_units::PodState;

/// The static pods of this node, according to its kubelet.
#[async_trait]
pub trait StaticPodStates: Send + Sync {
    /// The state of the pod of a manifest's name, once its definition has this hash; waiting before that.
    async fn state(&self, name: &str, hash: &str) -> io::Result<PodState>;
}
