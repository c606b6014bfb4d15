//! Checks of the machine before anything is changed: problems, each with a remedy.

use std::path::PathBuf;

use crate::core::model::preflight::MachineState;
use crate::core::model::spec::{BALANCER_PORT, ComponentSource, Spec};

/// One problem of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// True if the run cannot succeed; otherwise the finding is only a warning.
    pub fatal: bool,
    /// The problem, e.g. "swap is enabled (/dev/sda2)".
    pub problem: String,
    /// What the operator can do about it.
    pub remedy: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// TCP ports a control plane listens on.
pub fn control_plane_ports(spec: &Spec) -> Vec<u16> {
    let mut ports = vec![spec.node.api_port, 10250, 10257, 10259];
    if spec.cluster.external_etcd.is_none() {
        ports.extend([2379, 2380]);
    }
    if spec.cluster.runs_cloud_controller() {
        ports.push(10258);
    }
    ports.extend(balancer_port(spec));
    ports
}

/// Ports of the components other than the API server.
const COMPONENT_PORTS: [u16; 5] = [10257, 10258, 10259, 2379, 2380];

/// TCP ports a worker listens on.
pub fn worker_ports(spec: &Spec) -> Vec<u16> {
    let mut ports = vec![10250];
    ports.extend(balancer_port(spec));
    ports
}

fn balancer_port(spec: &Spec) -> Option<u16> {
    spec.cluster.local_balancer.then_some(BALANCER_PORT)
}

/// Programs that must exist for these settings.
pub fn wanted_programs(spec: &Spec, control_plane: bool) -> Vec<PathBuf> {
    let mut programs = vec![spec.node.programs.kubelet.clone()];
    if let ComponentSource::Host { programs: ours } = &spec.cluster.source
        && control_plane
    {
        programs.extend(ours.values().cloned());
    }
    programs
}

/// Checks the machine; fatal findings come first.
pub fn check(spec: &Spec, machine: &MachineState) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fatal = |problem: String, remedy: &str| {
        findings.push(Finding { fatal: true, problem, remedy: remedy.to_owned() });
    };
    if !machine.root {
        fatal("not running as root".to_owned(), "run it with sudo");
    }
    if !machine.systemd {
        fatal("PID 1 is not systemd".to_owned(), "roost needs systemd as the init system, also inside a container");
    }
    // Only root can query units on every machine.
    if machine.root && machine.systemd && !machine.runtime_unit {
        fatal("containerd.service is not installed".to_owned(), "install containerd (apt install containerd)");
    }
    for program in &machine.missing_programs {
        fatal(
            format!("{} does not exist or is not executable", program.display()),
            "install it, or set its path in [programs] or [components.binaries]",
        );
    }
    for archive in &machine.missing_archives {
        fatal(
            format!("{} does not exist", archive.display()),
            "copy the image archives there, or set components.archives",
        );
    }
    if !machine.kubelet_active {
        // The ports may be used by our own agent or services if an earlier run was interrupted before it started the
        // kubelet.
        let ours = |port: &u16| {
            (machine.agent_active && Some(*port) == balancer_port(spec))
                || (machine.services_active && (COMPONENT_PORTS.contains(port) || *port == spec.node.api_port))
        };
        for port in machine.taken_ports.iter().filter(|port| !ours(port)) {
            fatal(
                format!("port {port} is in use"),
                &format!("stop the process that listens on it (find it with ss -ltnp 'sport = :{port}')"),
            );
        }
    }
    if !machine.has_address {
        fatal(
            format!("no interface has the address {}", spec.node.address),
            "set node.address to one of this machine's addresses",
        );
    }
    let mut warn = |problem: String, remedy: &str| {
        findings.push(Finding { fatal: false, problem, remedy: remedy.to_owned() });
    };
    let fields = [&spec.node.kubelet, &spec.cluster.kubelet];
    let tolerates_swap =
        fields.iter().find_map(|fields| fields.get("failSwapOn")) == Some(&serde_json::Value::Bool(false));
    if !machine.swaps.is_empty() && !tolerates_swap {
        warn(
            format!("swap is enabled ({})", machine.swaps.join(", ")),
            "disable it (swapoff -a) or set kubelet.failSwapOn = false",
        );
    }
    if !machine.cgroup_v2 {
        warn(
            "this machine uses cgroup v1".to_owned(),
            "it works, but memory quality of service and some limits need cgroup v2",
        );
    }
    for module in &machine.missing_modules {
        warn(
            format!("kernel module {module} is not loaded"),
            &format!("load it (modprobe {module}) if pods have no network"),
        );
    }
    if !machine.ip_forward && spec.cluster.network.builtin {
        warn(
            "net.ipv4.ip_forward is off".to_owned(),
            "enable it (sysctl -w net.ipv4.ip_forward=1), or pods cannot reach other nodes",
        );
    }
    findings
}
