//! `bootstrap agent`: the long-running part, started by `roost-agent.service`.

use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

/// Arguments of `bootstrap agent`.
#[derive(Args, Clone, Debug)]
pub struct AgentArgs {
    /// Name of this node's Node object
    #[arg(long)]
    pub node_name: String,
    /// The kubelet's kubeconfig, which may appear only later
    #[arg(long, default_value = "/etc/kubernetes/kubelet.conf")]
    pub kubeconfig: PathBuf,
    /// On control planes: the kubeconfig with which serving certificates of kubelets are approved
    #[arg(long)]
    pub approver_kubeconfig: Option<PathBuf>,
    /// The cluster's pod subnets; without any, the pod network is left to a CNI of your own
    #[arg(long, value_delimiter = ',')]
    pub pod_subnet: Vec<IpNet>,
    /// The nftables program
    #[arg(long, default_value = "nft")]
    pub nft: PathBuf,
    /// Where the container runtime looks for CNI configurations
    #[arg(long, default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
}
