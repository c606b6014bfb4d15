//! State of the machine that the preflight checks judge, as observed before a run changes anything.

use std::path::PathBuf;

/// Kernel features that pods and Services need, as module names.
pub const MODULES: [&str; 3] = ["overlay", "br_netfilter", "nf_tables"];

/// State of the machine that preflight checks judge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineState {
    /// We run as root.
    pub root: bool,
    /// Process 1 is systemd.
    pub systemd: bool,
    /// `containerd.service` can be loaded.
    pub runtime_unit: bool,
    /// The kubelet runs already: its ports are its own.
    pub kubelet_active: bool,
    /// Our node agent runs already: the port of its balancer is its own.
    pub agent_active: bool,
    /// Services of the control plane run already.
    pub services_active: bool,
    /// TCP ports of ours that something listens on.
    pub taken_ports: Vec<u16>,
    /// Programs of ours that do not exist or cannot be run.
    pub missing_programs: Vec<PathBuf>,
    /// Archives that do not exist.
    pub missing_archives: Vec<PathBuf>,
    /// Names of the active swap devices.
    pub swaps: Vec<String>,
    /// The unified cgroup hierarchy is in use.
    pub cgroup_v2: bool,
    /// Address of this node is configured on an interface.
    pub has_address: bool,
    /// Kernel features that are missing, by module name.
    pub missing_modules: Vec<&'static str>,
    /// Value of `net.ipv4.ip_forward`.
    pub ip_forward: bool,
}
