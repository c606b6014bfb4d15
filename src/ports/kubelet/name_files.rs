//! The node's resolv.conf and hosts file, which pods get copies of.

use std::io;

use async_trait::async_trait;

/// Reads them each time: a node's resolver changes with its networks, and may not exist early in the boot.
#[async_trait]
pub trait NameFiles: Send + Sync {
    /// Text of the file in `resolvConf`; `None` if that setting is empty.
    async fn resolv_conf(&self) -> io::Result<Option<String>>;
    /// Text of `/etc/hosts`, for pods in the host's network.
    async fn hosts(&self) -> io::Result<String>;
}
