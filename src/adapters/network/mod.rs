//! The kernel's network: routes by netlink, nftables by its own program, the CNI configuration file.

mod nft;
mod routes;
mod traces;

use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Notify;

use std::sync::Arc;

use crate::adapters::fs::atomic;
use crate::core::network::{Route, RouteChange, conflist};
use crate::offload::Lanes;
use crate::ports::{PodNetwork, PodNetworkError};

/// The network of the node that this process runs on.
pub struct HostNetwork {
    routes: routes::Routes,
    nft: PathBuf,
    cni_directory: PathBuf,
    changed: Arc<Notify>,
    lanes: Lanes,
}

impl HostNetwork {
    /// Opens a netlink connection. `nft` is the nftables program, `cni_directory` where the runtime looks for CNI
    /// configurations.
    pub fn connect(nft: PathBuf, cni_directory: PathBuf) -> std::io::Result<Self> {
        let changed = Arc::new(Notify::new());
        Ok(Self {
            routes: routes::Routes::connect(changed.clone())?,
            nft,
            cni_directory,
            changed,
            lanes: Lanes::new("file"),
        })
    }
}

#[async_trait]
impl PodNetwork for HostNetwork {
    async fn observe_routes(&self) -> Result<Vec<Route>, PodNetworkError> {
        self.routes.observe().await
    }

    async fn apply_route(&self, change: &RouteChange) -> Result<(), PodNetworkError> {
        self.routes.apply(change).await
    }

    async fn observe_mtu(&self, address: IpAddr) -> Result<Option<u32>, PodNetworkError> {
        self.routes.observe_mtu(address).await
    }

    async fn apply_ruleset(&self, ruleset: &str) -> Result<(), PodNetworkError> {
        let enabled = self.lanes.run(nft::FORWARDING, "write", nft::enable_forwarding).await;
        enabled.map_err(|stalled| PodNetworkError::File { path: nft::FORWARDING.into(), source: stalled.into() })??;
        nft::apply(&self.nft, ruleset).await
    }

    async fn apply_conflist(&self, conflist: &Value) -> Result<bool, PodNetworkError> {
        let path = self.cni_directory.join(conflist::FILE_NAME);
        let text = format!("{conflist:#}\n");
        let (directory, file) = (self.cni_directory.clone(), path.clone());
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let write = move || {
            std::fs::create_dir_all(&directory)?;
            atomic::write_if_changed(&file, text.as_bytes(), 0o600)
        };
        let written = self.lanes.io(path.to_string_lossy(), "write", write).await;
        written.map_err(|source| PodNetworkError::File { path: path.display().to_string(), source })
    }

    async fn observe_traces(&self) -> Result<Vec<String>, PodNetworkError> {
        traces::observe(&self.nft, &self.cni_directory, &self.routes).await
    }

    async fn remove_traces(&self) -> Result<(), PodNetworkError> {
        traces::remove(&self.nft, &self.cni_directory, &self.routes).await
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}
