//! State of the machine that the preflight checks judge, as observed before a run changes anything.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

/// Kernel features that pods and Services need, as module names.
pub const MODULES: [&str; 3] = ["overlay", "br_netfilter", "nf_tables"];

/// CNI plugins that the built-in pod network needs: those of its configuration, and the one that runtimes add.
pub const PLUGINS: [&str; 4] = ["bridge", "host-local", "portmap", "loopback"];

/// A TCP port that a node listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortNeed {
    /// Number of the port that the node needs.
    pub port: u16,
    /// Addresses that it is bound at; the unspecified address stands for all.
    pub at: Vec<IpAddr>,
    /// True if the node cannot run without it.
    pub required: bool,
}

/// A needed port that another process listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenPort {
    /// Number of the port that the node needs.
    pub port: u16,
    /// True if the node cannot run without it.
    pub required: bool,
    /// Name and id of the process, e.g. "nginx (process 812)"; `None` if it cannot be determined.
    pub owner: Option<String>,
}

/// What the container runtime answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ObservedRuntime {
    /// It was not asked: its unit does not run yet.
    #[default]
    NotAsked,
    /// It does not answer over CRI v1, with the reason.
    Silent(String),
    /// It answers over CRI v1, with this state.
    Answers(RuntimeState),
}

/// State of a container runtime that answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeState {
    /// Its name and version, e.g. "containerd 1.6.20".
    pub program: String,
    /// Why it cannot run containers; `None` if it can.
    pub not_ready: Option<String>,
    /// True if it reports its cgroup driver (CRI `RuntimeConfig`), which the kubelet then uses.
    pub reports_driver: bool,
    /// True if its own configuration selects the cgroup driver systemd; `None` if it does not show its configuration.
    pub systemd_cgroup: Option<bool>,
    /// Folders in which it looks for CNI plugins; empty if it does not show its configuration.
    pub plugin_folders: Vec<PathBuf>,
    /// Folder in which it looks for CNI configurations; `None` if it does not show its configuration.
    pub network_folder: Option<PathBuf>,
}

/// A chain of nftables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Family and name of its table, e.g. "ip filter".
    pub table: String,
    /// Name of the chain.
    pub name: String,
    /// True if it is a base chain of the hook `forward` whose policy is `drop`.
    pub drops_forwarded: bool,
}

/// The firewall rules of the machine, as far as `nft` reports them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ObservedRules {
    /// It was not asked, because only root may.
    #[default]
    NotAsked,
    /// It does not run, with the reason.
    Fails(String),
    /// All chains of all tables.
    Chains(Vec<Chain>),
}

/// Room and speed of a file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskState {
    /// Free bytes for root.
    pub free: u64,
    /// Size of the file system in bytes.
    pub size: u64,
    /// Time within which nine of ten small writes are on the disk (`fdatasync`); `None` if it was not measured.
    pub sync: Option<Duration>,
}

/// Files of an earlier cluster, or of an earlier run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// The cluster's CA certificates of this machine, PEM; `None` if it has none.
    pub ca: Option<String>,
    /// The CA certificates that the kubelet's kubeconfig trusts, PEM; `None` if there is no such kubeconfig.
    pub kubelet_ca: Option<String>,
    /// True if this machine has an API server's certificate, so it is a control plane.
    pub control_plane: bool,
    /// True if this machine has the key of service accounts, which all control planes share.
    pub shared_keys: bool,
    /// True if this machine joined a cluster.
    pub joined: bool,
    /// True if there is data of etcd.
    pub etcd_data: bool,
    /// Number of etcd snapshots.
    pub snapshots: usize,
    /// Names of the files in the folder of CNI configurations.
    pub networks: Vec<String>,
}

/// State of the machine that the preflight checks judge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineState {
    /// True if this program runs as root.
    pub root: bool,
    /// True if process 1 is systemd.
    pub systemd: bool,
    /// True if `containerd.service` can be loaded.
    pub runtime_unit: bool,
    /// What the container runtime answered.
    pub runtime: ObservedRuntime,
    /// True if the kubelet already runs: its ports are in use by itself.
    pub kubelet_active: bool,
    /// True if the node agent already runs: the balancer's port is in use by itself.
    pub agent_active: bool,
    /// True if services of the control plane already run.
    pub services_active: bool,
    /// TCP ports needed by us that another process listens on.
    pub taken_ports: Vec<TakenPort>,
    /// Required programs that do not exist or are not executable.
    pub missing_programs: Vec<PathBuf>,
    /// Configured image archives that do not exist.
    pub missing_archives: Vec<PathBuf>,
    /// CNI plugins that are in none of the runtime's folders.
    pub missing_plugins: Vec<&'static str>,
    /// The folders that were searched for CNI plugins.
    pub plugin_folders: Vec<PathBuf>,
    /// The chains that `nft` reports.
    pub rules: ObservedRules,
    /// Names of the active swap devices.
    pub swaps: Vec<String>,
    /// Memory of the machine in bytes.
    pub memory: u64,
    /// True if the unified cgroup hierarchy is mounted.
    pub cgroup_v2: bool,
    /// True if the node's address is configured on an interface.
    pub has_address: bool,
    /// Kernel features that are missing, by module name.
    pub missing_modules: Vec<&'static str>,
    /// True if `net.ipv4.ip_forward` is 1.
    pub ip_forward: bool,
    /// File system of etcd's data; `None` if it cannot be read.
    pub etcd_disk: Option<DiskState>,
    /// File system of the kubelet's folder; `None` if it cannot be read.
    pub kubelet_disk: Option<DiskState>,
    /// How far the API server's clock is ahead of this machine's; `None` if it is not known.
    pub clock_ahead: Option<SignedDuration>,
    /// Files of an earlier cluster, or of an earlier run.
    pub traces: Traces,
}
