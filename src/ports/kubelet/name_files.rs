//! The node's own files of names, of which pods get copies.

use std::io;

use async_trait::async_trait;

/// Reads them again each time: a node's resolver changes with its networks, and may not be there yet when it boots.
#[async_trait]
pub trait NameFiles: Send + Sync {
    /// Text of the file that `resolvConf` names; `None` when that setting is empty.
    async fn resolv_conf(&self) -> io::Result<Option<String>>;
    /// Text of `/etc/hosts`, for pods in the host's network.
    async fn hosts(&self) -> io::Result<String>;
}
