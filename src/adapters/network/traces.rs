//! Finds and removes what the pod network and kube-proxy leave on a node.

use std::path::{Path, PathBuf};

use super::nft;
use super::routes::Routes;
use crate::adapters::fs::removal::remove_tree;
use crate::core::network::conflist::{BRIDGE, FILE_NAME, NETWORK};
use crate::core::network::{RouteChange, masquerade};
use crate::ports::bootstrap::PodNetworkError;

/// kube-proxy's tables in nftables mode.
const PROXY_TABLE: &str = "kube-proxy";
/// Where the `host-local` plugin stores its leases, a directory for each network.
const LEASES: &str = "/var/lib/cni/networks";

#[expect(clippy::disallowed_methods, reason = "for programs that end")]
pub(super) async fn observe(nft: &Path, cni_directory: &Path, routes: &Routes) -> Result<Vec<String>, PodNetworkError> {
    let mut traces: Vec<String> =
        tables(nft).await?.into_iter().map(|table| format!("nftables table {table}")).collect();
    traces.extend(routes.observe().await?.iter().map(|route| format!("route {}", route.destination)));
    if routes.has_link(BRIDGE).await? {
        traces.push(format!("bridge {BRIDGE}"));
    }
    let files = files(cni_directory);
    traces.extend(files.iter().filter(|path| path.exists()).map(|path| path.display().to_string()));
    Ok(traces)
}

pub(super) async fn remove(nft: &Path, cni_directory: &Path, routes: &Routes) -> Result<(), PodNetworkError> {
    let script: String = tables(nft).await?.iter().map(|table| format!("delete table {table}\n")).collect();
    nft::apply(nft, &script).await?;
    for route in routes.observe().await? {
        routes.apply(&RouteChange::Remove(route)).await?;
    }
    routes.remove_link(BRIDGE).await?;
    for path in files(cni_directory) {
        remove_tree(&path).map_err(|source| PodNetworkError::File { path: path.display().to_string(), source })?;
    }
    Ok(())
}

fn files(cni_directory: &Path) -> [PathBuf; 2] {
    [cni_directory.join(FILE_NAME), Path::new(LEASES).join(NETWORK)]
}

/// Family and name of the existing tables of ours and kube-proxy.
async fn tables(nft: &Path) -> Result<Vec<String>, PodNetworkError> {
    let list = nft::list_tables(nft).await?;
    let tables = list.lines().filter_map(|line| line.strip_prefix("table "));
    let ours =
        |table: &&str| table.split(' ').nth(1).is_some_and(|name| [masquerade::TABLE, PROXY_TABLE].contains(&name));
    Ok(tables.filter(ours).map(str::to_owned).collect())
}
