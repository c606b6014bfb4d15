//! The kernel's network: routes and the bridge by netlink, nftables by the `nft` program, and the CNI configuration
//! file.

mod bridge;
mod cni_file;
mod monitor;
mod nft;
mod routes;
mod traces;

use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use inotify::Watches;
use serde_json::Value;
use tokio::sync::{Mutex, Notify};

use std::sync::Arc;

use crate::core::network::{BridgeChange, ObservedBridge, Route, RouteChange, conflist, masquerade};
use crate::offload::{Lanes, Stalled};
use crate::ports::bootstrap::{NetworkChange, PodNetwork, PodNetworkError};

pub use nft::list_chains;

/// The network of the node that this process runs on.
pub struct HostNetwork {
    routes: routes::Routes,
    nft: PathBuf,
    cni_directory: PathBuf,
    changes: Arc<Changes>,
    /// Watches the CNI configuration; `None` for short-lived programs.
    watches: Option<Watches>,
    /// The ruleset that was installed, and the output of `nft` listing it. The output's format differs between
    /// versions, so it is only compared with itself.
    in_place: Mutex<Option<(String, String)>>,
    lanes: Lanes,
}

/// Changes since the last call.
#[derive(Default)]
struct Changes {
    routes: Notify,
    base: Notify,
}

impl Changes {
    fn note(&self, change: NetworkChange) {
        match change {
            NetworkChange::Routes => self.routes.notify_one(),
            NetworkChange::Base => self.base.notify_one(),
        }
    }
}

impl HostNetwork {
    /// Opens a netlink connection. `nft` is the nftables program, `cni_directory` the runtime's directory of CNI
    /// configurations.
    pub fn connect(nft: PathBuf, cni_directory: PathBuf) -> std::io::Result<Self> {
        let changes = Arc::new(Changes::default());
        let noted = Arc::clone(&changes);
        Ok(Self {
            routes: routes::Routes::connect(move |change| noted.note(change))?,
            nft,
            cni_directory,
            changes,
            watches: None,
            in_place: Mutex::default(),
            lanes: Lanes::new("file"),
        })
    }

    /// Also reports changes to the rules, to forwarding and to the CNI configuration, which requires CAP_NET_ADMIN.
    pub fn monitored(mut self) -> std::io::Result<Self> {
        let changes = Arc::clone(&self.changes);
        let changed = move || changes.note(NetworkChange::Base);
        monitor::watch(changed.clone())?;
        self.watches = Some(cni_file::watch(changed)?);
        Ok(self)
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

    async fn apply_forwarding(&self, ipv6: bool) -> Result<bool, PodNetworkError> {
        let mut changed = false;
        for switch in [Some(nft::FORWARDING), ipv6.then_some(nft::FORWARDING_6)].into_iter().flatten() {
            let enabled = self.lanes.run(switch, "write", move || nft::enable_forwarding(switch)).await;
            changed |= enabled.map_err(|stalled| late(switch, stalled))??;
        }
        Ok(changed)
    }

    async fn apply_ruleset(&self, ruleset: &str) -> Result<bool, PodNetworkError> {
        let mut in_place = self.in_place.lock().await;
        if let Some((_, listed)) = in_place.as_ref().filter(|(applied, _)| applied == ruleset)
            && *listed == nft::list_named(&self.nft, masquerade::TABLE).await?
        {
            return Ok(false);
        }
        *in_place = None;
        nft::apply(&self.nft, ruleset).await?;
        let listed = nft::list_named(&self.nft, masquerade::TABLE).await?;
        // A change between installing and listing must not be taken for the installed state.
        if ruleset.matches("chain ").count() == listed.matches("chain ").count() {
            *in_place = Some((ruleset.to_owned(), listed));
        }
        Ok(true)
    }

    async fn observe_bridge(&self) -> Result<ObservedBridge, PodNetworkError> {
        let remembered = self.lanes.io(bridge::RESULTS, "read", bridge::read_attachments).await;
        let remembered = remembered.map_err(|source| PodNetworkError::File { path: bridge::RESULTS.into(), source })?;
        bridge::observe(&self.routes.handle, &remembered).await
    }

    async fn apply_bridge(&self, change: &BridgeChange) -> Result<(), PodNetworkError> {
        bridge::apply(&self.routes.handle, change).await
    }

    async fn apply_conflist(&self, conflist: &Value) -> Result<bool, PodNetworkError> {
        let path = self.cni_directory.join(conflist::FILE_NAME);
        let text = format!("{conflist:#}\n");
        let (directory, mut watches) = (self.cni_directory.clone(), self.watches.clone());
        let write = move || cni_file::write(&directory, &text, watches.as_mut());
        let written = self.lanes.io(path.to_string_lossy(), "write", write).await;
        written.map_err(|source| PodNetworkError::File { path: path.display().to_string(), source })
    }

    async fn observe_traces(&self) -> Result<Vec<String>, PodNetworkError> {
        traces::observe(&self.nft, &self.cni_directory, &self.routes).await
    }

    async fn remove_traces(&self) -> Result<(), PodNetworkError> {
        traces::remove(&self.nft, &self.cni_directory, &self.routes).await
    }

    async fn changed(&self) -> NetworkChange {
        tokio::select! {
            biased;
            () = self.changes.base.notified() => NetworkChange::Base,
            () = self.changes.routes.notified() => NetworkChange::Routes,
        }
    }
}

fn late(path: &str, stalled: Stalled) -> PodNetworkError {
    PodNetworkError::File { path: path.to_owned(), source: stalled.into() }
}
