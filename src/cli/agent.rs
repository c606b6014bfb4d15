//! `bootstrap agent`: the long-running part, started by `roost-agent.service`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

use crate::core::model::spec::Endpoint;

/// Arguments of `bootstrap agent`.
#[derive(Args, Clone, Debug)]
pub struct AgentArgs {
    /// Settings of this node (cluster.toml); replaces the flags below
    #[arg(long, value_name = "FILE", conflicts_with = "node_name")]
    pub settings: Option<PathBuf>,
    /// With --settings: this node is a control plane
    #[arg(long, requires = "settings")]
    pub control_plane: bool,
    /// Name of this node's Node object
    #[arg(long, required_unless_present = "settings")]
    pub node_name: Option<String>,
    /// The kubelet's kubeconfig; the agent waits until it exists
    #[arg(long, default_value = "/etc/kubernetes/kubelet.conf")]
    pub kubeconfig: PathBuf,
    /// On control planes: kubeconfig with which certificate requests of kubelets are approved
    #[arg(long)]
    pub approver_kubeconfig: Option<PathBuf>,
    /// Accept the DNS names that a cloud controller manager gives to nodes in serving certificates
    #[arg(long)]
    pub external_cloud: bool,
    /// Directory of the cluster's certificates and, on control planes, of the keys shared with joining ones
    #[arg(long, default_value = "/etc/kubernetes/pki")]
    pub pki_dir: PathBuf,
    /// Directory of the kubelet's own certificates
    #[arg(long, default_value = "/var/lib/kubelet/pki")]
    pub kubelet_cert_dir: PathBuf,
    /// Pod subnets of the cluster; if none is given, the agent leaves the pod network to another CNI
    #[arg(long, value_delimiter = ',')]
    pub pod_subnet: Vec<IpNet>,
    /// Address on this node whose connections are balanced over all API servers
    #[arg(long)]
    pub balancer: Option<SocketAddr>,
    /// API server on this node; preferred over the others
    #[arg(long)]
    pub own_api_server: Option<SocketAddr>,
    /// API server to start with; the list of all others is read from it
    #[arg(long)]
    pub api_server: Vec<Endpoint>,
    /// File that keeps the list of API servers across reboots
    #[arg(long, default_value = "/var/lib/roost/agent/api-servers.json")]
    pub api_server_cache: PathBuf,
    /// The nft program (nftables)
    #[arg(long, default_value = "nft")]
    pub nft: PathBuf,
    /// Directory of CNI configurations that the container runtime reads
    #[arg(long, default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
}
