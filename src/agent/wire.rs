//! Puts the agent's tasks and their adapters together; the one file of this room that sees adapters.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;

use super::{PodNetworkSettings, run_pod_network, run_serving_approver};
use crate::adapters::apiserver::node_networks::watch_node_networks;
use crate::adapters::apiserver::serving_requests::ServingRequests;
use crate::adapters::network::HostNetwork;

/// What `bootstrap agent` was told.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The kubelet's kubeconfig; it may appear later.
    pub kubeconfig: PathBuf,
    /// Name of this node and the cluster's pod subnets; no subnets when the user brings a CNI.
    pub pod_network: PodNetworkSettings,
    /// The kubeconfig of the approver of serving certificates; on control-plane nodes only.
    pub approver_kubeconfig: Option<PathBuf>,
    /// The nftables program.
    pub nft: PathBuf,
    /// Where the container runtime looks for CNI configurations.
    pub cni_directory: PathBuf,
}

/// Runs every duty until `stop` completes.
pub async fn run(settings: AgentSettings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    if !settings.pod_network.pod_subnets.is_empty() {
        let network = HostNetwork::connect(settings.nft, settings.cni_directory).context("open a netlink socket")?;
        let nodes = watch_node_networks(settings.kubeconfig.clone());
        tasks.spawn(run_pod_network(settings.pod_network, nodes, Arc::new(network)));
    }
    if let Some(kubeconfig) = settings.approver_kubeconfig {
        tasks.spawn(run_serving_approver(Box::new(ServingRequests::new(kubeconfig))));
    }
    if tasks.is_empty() {
        tracing::info!("this node has nothing for the agent to do");
    }
    tokio::select! {
        () = stop => Ok(()),
        // A task ends only by a panic: let systemd start the agent again.
        Some(ended) = tasks.join_next() => Err(anyhow::anyhow!("a task of the agent ended: {ended:?}")),
    }
}
