//! Blocks of user ids for pods with a user namespace.

use std::io;

use async_trait::async_trait;

use crate::core::model::PodUid;
use crate::cri;

/// Assigns each pod with `hostUsers: false` a block of user and group ids that no other pod of the node has.
#[async_trait]
pub trait UserNamespaces: Send + Sync {
    /// The pod's block; the same one as long as the pod's directory exists, even after a restart.
    async fn ensure(&self, uid: &PodUid) -> io::Result<cri::UserNamespace>;
}
