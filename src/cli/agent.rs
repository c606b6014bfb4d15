//! `bootstrap agent`: the long-running part, started by `roost-agent.service`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

use crate::core::model::spec::Endpoint;

/// Arguments of `bootstrap agent`.
#[derive(Args, Clone, Debug)]
pub struct AgentArgs {
    /// Settings of this node (cluster.toml), from which all flags below follow
    #[arg(long, value_name = "FILE", conflicts_with = "node_name")]
    pub settings: Option<PathBuf>,
    /// With --settings: this node is a control plane
    #[arg(long, requires = "settings")]
    pub control_plane: bool,
    /// Name of this node's Node object
    #[arg(long, required_unless_present = "settings")]
    pub node_name: Option<String>,
    /// The kubelet's kubeconfig, which may appear only later
    #[arg(long, default_value = "/etc/kubernetes/kubelet.conf")]
    pub kubeconfig: PathBuf,
    /// On control planes: the kubeconfig with which certificates of kubelets are approved
    #[arg(long)]
    pub approver_kubeconfig: Option<PathBuf>,
    /// A cloud controller manager gives nodes DNS names besides their own
    #[arg(long)]
    pub external_cloud: bool,
    /// Where certificates are, and on control planes the keys that joining ones get
    #[arg(long, default_value = "/etc/kubernetes/pki")]
    pub pki_dir: PathBuf,
    /// Where the kubelet keeps its own certificates
    #[arg(long, default_value = "/var/lib/kubelet/pki")]
    pub kubelet_cert_dir: PathBuf,
    /// The cluster's pod subnets; without any, the pod network is left to a CNI of your own
    #[arg(long, value_delimiter = ',')]
    pub pod_subnet: Vec<IpNet>,
    /// Balance connections to this address of the node over all API servers
    #[arg(long)]
    pub balancer: Option<SocketAddr>,
    /// The API server of this node, which is asked first
    #[arg(long)]
    pub own_api_server: Option<SocketAddr>,
    /// An API server to begin with; the others are learnt from it
    #[arg(long)]
    pub api_server: Vec<Endpoint>,
    /// Where the list of API servers is kept for the next boot
    #[arg(long, default_value = "/var/lib/roost/agent/api-servers.json")]
    pub api_server_cache: PathBuf,
    /// The nftables program
    #[arg(long, default_value = "nft")]
    pub nft: PathBuf,
    /// Where the container runtime looks for CNI configurations
    #[arg(long, default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
}
