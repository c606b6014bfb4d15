//! State of the machine that the preflight checks judge, as observed before a run changes anything.

use std::path::PathBuf;

/// Kernel features that pods and Services need, as module names.
pub const MODULES: [&str; 3] = ["overlay", "br_netfilter", "nf_tables"];

/// State of the machine that the preflight checks judge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineState {
    /// True if this program runs as root.
    pub root: bool,
    /// True if process 1 is systemd.
    pub systemd: bool,
    /// True if `containerd.service` can be loaded.
    pub runtime_unit: bool,
    /// True if the kubelet already runs: its ports are in use by itself.
    pub kubelet_active: bool,
    /// True if the node agent already runs: the balancer's port is in use by itself.
    pub agent_active: bool,
    /// True if services of the control plane already run.
    pub services_active: bool,
    /// TCP ports needed by us that another process listens on.
    pub taken_ports: Vec<u16>,
    /// Required programs that do not exist or are not executable.
    pub missing_programs: Vec<PathBuf>,
    /// Configured image archives that do not exist.
    pub missing_archives: Vec<PathBuf>,
    /// Names of the active swap devices.
    pub swaps: Vec<String>,
    /// True if the unified cgroup hierarchy is mounted.
    pub cgroup_v2: bool,
    /// True if the node's address is configured on an interface.
    pub has_address: bool,
    /// Kernel features that are missing, by module name.
    pub missing_modules: Vec<&'static str>,
    /// True if `net.ipv4.ip_forward` is 1.
    pub ip_forward: bool,
}
