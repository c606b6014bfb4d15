//! Connects the agent's tasks with their adapters; the only file of `agent` that uses adapters.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::sync::oneshot;

use super::authorities::serving_certificate;
use super::{
    AuthoritiesPorts, AuthoritiesSettings, PodNetworkSettings, run_authorities, run_key_handover, run_kubelet_requests,
    run_pod_network,
};
use crate::adapters::apiserver::api_servers::{ApiServerSources, watch_api_servers};
use crate::adapters::apiserver::key_handover::CsrHandoverRequests;
use crate::adapters::apiserver::kubelet_requests::{ApiKubeletRequests, OwnControlPlane};
use crate::adapters::apiserver::node_events::KubeconfigNodeEvents;
use crate::adapters::apiserver::node_networks::watch_node_networks;
use crate::adapters::apiserver::reachability::HttpReachability;
use crate::adapters::balancer::run_balancer;
use crate::adapters::descriptors::raise_limit;
use crate::adapters::fs::node_files::HostFiles;
use crate::adapters::network::HostNetwork;
use crate::adapters::x509::X509;
use crate::core::balancer::Bounds;
use crate::core::model::spec::Endpoint;
use crate::offload::Lanes;

/// Limit of open files: two for each connection of the balancer, and some for the agent itself.
const DESCRIPTORS: u64 = 4096;

/// Arguments of `bootstrap agent`.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// Path of the kubelet's kubeconfig; it may appear later.
    pub kubeconfig: PathBuf,
    /// Name of this node and the cluster's pod subnets; no subnets if the user installs another CNI.
    pub pod_network: PodNetworkSettings,
    /// The kubeconfig that approves kubelets' certificates; only on control-plane nodes.
    pub approver_kubeconfig: Option<PathBuf>,
    /// True if a cloud provider gives nodes additional DNS names.
    pub cloud: bool,
    /// The folder of certificates, and on control planes of the keys for joining ones.
    pub pki: PathBuf,
    /// The folder of the kubelet's own certificates.
    pub kubelet_certs: PathBuf,
    /// Settings of the balancer; `None` if the user has one for all nodes.
    pub balancer: Option<BalancerSettings>,
    /// Path of the nftables program.
    pub nft: PathBuf,
    /// The folder where the container runtime reads CNI configurations.
    pub cni_directory: PathBuf,
}

/// The node's local balancer in front of all API servers.
#[derive(Clone, Debug)]
pub struct BalancerSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The node's own API server; only on control planes.
    pub own: Option<SocketAddr>,
    /// API servers to start with.
    pub seeds: Vec<Endpoint>,
    /// The file where the list is kept.
    pub cache: PathBuf,
}

/// Runs every task until `stop` completes; notifies systemd when the balancer listens.
pub async fn run(settings: AgentSettings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    if let Some(balancer) = settings.balancer {
        let mut seeds = balancer.seeds;
        seeds.extend(balancer.own.map(|own| Endpoint::new(own.ip(), own.port())));
        let sources = ApiServerSources { kubeconfig: settings.kubeconfig.clone(), seeds, cache: balancer.cache };
        let (ready, listens) = oneshot::channel();
        let bounds = Bounds::of_descriptors(raise_limit(DESCRIPTORS));
        tasks.spawn(run_balancer(balancer.listen, balancer.own, watch_api_servers(sources), bounds, ready));
        // A task that has exited is found below.
        let _ = listens.await;
    }
    let node_name = settings.pod_network.node_name.clone();
    let authorities = AuthoritiesSettings {
        node_name: node_name.clone(),
        kubeconfig: settings.kubeconfig.clone(),
        client_ca: settings.pki.join("ca.crt"),
        serving: serving_certificate(&settings.kubelet_certs),
        follows: settings.approver_kubeconfig.is_none(),
    };
    let ports = AuthoritiesPorts { files: Arc::new(HostFiles), pki: Arc::new(X509), net: Arc::new(HttpReachability) };
    let runtime = tokio::runtime::Handle::current();
    // These two read files between their requests: each has its own thread, which a hanging disk may block.
    let duties = runtime.clone();
    tasks.spawn_blocking(move || duties.block_on(run_authorities(authorities, ports)));
    if !settings.pod_network.pod_subnets.is_empty() {
        let network = HostNetwork::connect(settings.nft, settings.cni_directory).and_then(HostNetwork::monitored);
        let network = network.context("open the netlink sockets that report network changes")?;
        let nodes = watch_node_networks(settings.kubeconfig.clone());
        let events = KubeconfigNodeEvents::new(settings.kubeconfig.clone(), &settings.pod_network.node_name);
        tasks.spawn(run_pod_network(settings.pod_network, nodes, Arc::new(network), Arc::new(events)));
    }
    if let Some(kubeconfig) = settings.approver_kubeconfig {
        let own = OwnControlPlane { node_name, certificate: settings.pki.join("apiserver.crt"), cloud: settings.cloud };
        tasks.spawn(run_kubelet_requests(Box::new(ApiKubeletRequests::new(kubeconfig.clone(), own))));
        let requests = Box::new(CsrHandoverRequests::new(kubeconfig));
        tasks.spawn_blocking(move || runtime.block_on(run_key_handover(requests, Arc::new(HostFiles), settings.pki)));
    }
    // Without systemd there is nothing to notify.
    let lanes = Lanes::new("socket of");
    #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
    let _ = lanes.io("systemd", "notify", || sd_notify::notify(&[NotifyState::Ready])).await;
    tokio::select! {
        () = stop => Ok(()),
        // A task exits only by a panic: let systemd restart the agent.
        Some(ended) = tasks.join_next() => Err(anyhow::anyhow!("a task of the agent exited: {ended:?}")),
    }
}
