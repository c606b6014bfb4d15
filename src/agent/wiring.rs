//! Puts the agent's tasks and their adapters together; the one file of this room that sees adapters.

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

/// Files that the agent may have open: two for each connection of the balancer, and some for itself.
const DESCRIPTORS: u64 = 4096;

/// Arguments of `bootstrap agent`.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The kubelet's kubeconfig; it may appear later.
    pub kubeconfig: PathBuf,
    /// Name of this node and the cluster's pod subnets; no subnets when the user brings a CNI.
    pub pod_network: PodNetworkSettings,
    /// The kubeconfig of the approver of kubelets' certificates; on control-plane nodes only.
    pub approver_kubeconfig: Option<PathBuf>,
    /// A cloud gives nodes DNS names besides their own.
    pub cloud: bool,
    /// Certificates, and on control planes the keys that joining ones get.
    pub pki: PathBuf,
    /// The kubelet's own certificates.
    pub kubelet_certs: PathBuf,
    /// The balancer; `None` where the user has one for all nodes.
    pub balancer: Option<BalancerSettings>,
    /// The nftables program.
    pub nft: PathBuf,
    /// Where the container runtime looks for CNI configurations.
    pub cni_directory: PathBuf,
}

/// The node's own way to all API servers.
#[derive(Clone, Debug)]
pub struct BalancerSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The node's own API server, on control planes.
    pub own: Option<SocketAddr>,
    /// API servers to begin with.
    pub seeds: Vec<Endpoint>,
    /// Where the list is kept.
    pub cache: PathBuf,
}

/// Runs every duty until `stop` completes; systemd is notified when the balancer listens.
pub async fn run(settings: AgentSettings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    if let Some(balancer) = settings.balancer {
        let mut seeds = balancer.seeds;
        seeds.extend(balancer.own.map(|own| Endpoint::new(own.ip(), own.port())));
        let sources = ApiServerSources { kubeconfig: settings.kubeconfig.clone(), seeds, cache: balancer.cache };
        let (ready, listens) = oneshot::channel();
        let bounds = Bounds::of_descriptors(raise_limit(DESCRIPTORS));
        tasks.spawn(run_balancer(balancer.listen, balancer.own, watch_api_servers(sources), bounds, ready));
        // A task that ended is found below.
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
    // These two read files between their requests: each on a thread of its own, which a dead disk may keep.
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
    // Without systemd there is nobody to notify.
    let lanes = Lanes::new("socket of");
    #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
    let _ = lanes.io("systemd", "notify", || sd_notify::notify(&[NotifyState::Ready])).await;
    tokio::select! {
        () = stop => Ok(()),
        // A task exits only by a panic: let systemd restart the agent.
        Some(ended) = tasks.join_next() => Err(anyhow::anyhow!("a task of the agent exited: {ended:?}")),
    }
}
