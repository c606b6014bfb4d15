//! Checks of the machine itself: system, container runtime, programs, ports, disks, memory.

use super::check::Check;
use super::finding::{Findings, Purpose, Target};
use super::needs::COMPONENT_PORTS;
use crate::core::model::preflight::{DiskState, MachineState, ObservedRuntime, RuntimeState};
use crate::core::model::spec::{BALANCER_PORT, Spec};

const MIB: u64 = 1024 * 1024;
/// Memory that a control plane needs, as kubeadm has it (`ControlPlaneMem`).
const CONTROL_PLANE_MEMORY: u64 = 1700 * MIB;
/// Memory that kubelet, containerd and agent need with some pods.
const WORKER_MEMORY: u64 = 512 * MIB;
/// Free space without which etcd's data (2 GiB by its default quota, besides its log) soon fills the disk.
const ETCD_SPACE: u64 = 4096 * MIB;
/// Free space without which etcd does not start: it allocates its log in files of 64 MiB.
const ETCD_LEAST: u64 = 256 * MIB;
/// Latency of writes above which etcd loses its leader under load (etcd's FAQ, "What does … took too long mean").
const SLOW_SYNC_MS: u128 = 10;
/// Percentage of free space below which a kubelet evicts pods, unless it is set (`nodefs.available` of `evictionHard`).
const EVICTION_PERCENT: u64 = 10;

pub(super) fn check(spec: &Spec, target: &Target<'_>, machine: &MachineState, findings: &mut Findings) {
    check_system(spec, machine, findings);
    check_runtime(spec, machine, findings);
    for program in &machine.missing_programs {
        findings.fatal(
            Check::Programs,
            format!("{} does not exist or is not executable", program.display()),
            "install it, or set its path in [programs] or [components.binaries]",
        );
    }
    for archive in &machine.missing_archives {
        findings.fatal(
            Check::Archives,
            format!("{} does not exist", archive.display()),
            "copy the image archives there, or set components.archives",
        );
    }
    check_ports(spec, machine, findings);
    if target.purpose != Purpose::Change {
        check_room(spec, target, machine, findings);
    }
}

fn check_system(spec: &Spec, machine: &MachineState, findings: &mut Findings) {
    if !machine.root {
        findings.fatal(Check::Root, "not running as root", "run it with sudo");
    }
    if !machine.systemd {
        findings.fatal(
            Check::Systemd,
            "PID 1 is not systemd",
            "roost needs systemd as the init system, also inside a container",
        );
    }
    if !machine.has_address {
        findings.fatal(
            Check::Address,
            format!("no interface has the address {}", spec.node.address),
            "set node.address to one of this machine's addresses",
        );
    }
    let fields = [&spec.node.kubelet, &spec.cluster.kubelet];
    let tolerates_swap =
        fields.iter().find_map(|fields| fields.get("failSwapOn")) == Some(&serde_json::Value::Bool(false));
    if !machine.swaps.is_empty() && !tolerates_swap {
        findings.fatal(
            Check::Swap,
            format!("swap is enabled ({}), and the kubelet does not start with it", machine.swaps.join(", ")),
            "disable it (swapoff -a, and its line in /etc/fstab), or set kubelet.failSwapOn = false",
        );
    }
    if !machine.cgroup_v2 {
        findings.warn(
            Check::CgroupVersion,
            "this machine uses cgroup v1",
            "it works, but memory quality of service and some limits need cgroup v2",
        );
    }
}

fn check_runtime(spec: &Spec, machine: &MachineState, findings: &mut Findings) {
    // Only root can query units and sockets on every machine.
    if machine.root && machine.systemd && !machine.runtime_unit {
        findings.fatal(
            Check::Runtime,
            "containerd.service is not installed",
            "install containerd (apt install containerd)",
        );
    }
    let socket = spec.node.runtime_socket.display();
    match &machine.runtime {
        ObservedRuntime::NotAsked => {}
        ObservedRuntime::Silent(reason) => findings.fatal(
            Check::Runtime,
            format!("containerd does not answer over CRI v1 at {socket} ({reason})"),
            "see `systemctl status containerd`; its CRI plugin must be enabled (disabled_plugins = [] in /etc/containerd/config.toml), its version 1.6 or newer, and node.containerd_socket its socket",
        ),
        ObservedRuntime::Answers(runtime) => check_answer(spec, runtime, findings),
    }
}

fn check_answer(spec: &Spec, runtime: &RuntimeState, findings: &mut Findings) {
    let program = &runtime.program;
    if let Some(reason) = &runtime.not_ready {
        findings.fatal(
            Check::Runtime,
            format!("{program} cannot run containers ({reason})"),
            "see `systemctl status containerd`",
        );
    }
    if runtime.reports_driver {
        return;
    }
    findings.warn(
        Check::Runtime,
        format!("{program} does not report its cgroup driver (CRI RuntimeConfig)"),
        "Kubernetes v1.37 needs it: install containerd 2.0 or newer before that upgrade",
    );
    let fields = [&spec.node.kubelet, &spec.cluster.kubelet];
    let driver = fields.iter().find_map(|fields| fields.get("cgroupDriver")?.as_str()).unwrap_or("systemd");
    let (seen, other) = match runtime.systemd_cgroup {
        Some(true) => ("systemd", "SystemdCgroup = false"),
        Some(false) => ("cgroupfs", "SystemdCgroup = true"),
        None => return,
    };
    if seen != driver {
        findings.fatal(
            Check::CgroupDriver,
            format!("{program} uses the cgroup driver {seen} and the kubelet {driver}, so no pod could start"),
            format!(
                "set {other} in the options of runtime runc in /etc/containerd/config.toml and restart containerd, or set kubelet.cgroupDriver = \"{seen}\""
            ),
        );
    }
}

fn check_ports(spec: &Spec, machine: &MachineState, findings: &mut Findings) {
    if machine.kubelet_active {
        return;
    }
    // The ports may be used by our own agent or services if an earlier run was interrupted before it started the
    // kubelet.
    let ours = |port: u16| {
        (machine.agent_active && spec.cluster.local_balancer && port == BALANCER_PORT)
            || (machine.services_active && (COMPONENT_PORTS.contains(&port) || port == spec.node.api_port))
    };
    for taken in machine.taken_ports.iter().filter(|taken| !ours(taken.port)) {
        let port = taken.port;
        let by = taken.owner.as_ref().map(|owner| format!(" by {owner}")).unwrap_or_default();
        let problem = format!("port {port} is in use{by}");
        if taken.required {
            let remedy = match &taken.owner {
                Some(_) => "stop that process".to_owned(),
                None => format!("stop the process that listens on it (find it with ss -ltnp 'sport = :{port}')"),
            };
            findings.fatal(Check::Ports, problem, remedy);
        } else {
            findings.warn(Check::Ports, problem, "health checks and metrics of this node need it");
        }
    }
}

fn check_room(spec: &Spec, target: &Target<'_>, machine: &MachineState, findings: &mut Findings) {
    let (least, what) = match target.control_plane {
        true => (CONTROL_PLANE_MEMORY, "a control plane"),
        false => (WORKER_MEMORY, "a node"),
    };
    // Memory that is not known is zero.
    if (1..least).contains(&machine.memory) {
        findings.warn(
            Check::Memory,
            format!("this machine has {} MiB of memory", machine.memory.checked_div(MIB).unwrap_or_default()),
            format!("{what} needs {} MiB", least.checked_div(MIB).unwrap_or_default()),
        );
    }
    if let Some(disk) =
        machine.etcd_disk.as_ref().filter(|_| target.control_plane && spec.cluster.external_etcd.is_none())
    {
        check_etcd_disk(spec, disk, findings);
    }
    let fields = [&spec.node.kubelet, &spec.cluster.kubelet];
    let own_threshold = fields.iter().any(|fields| fields.contains_key("evictionHard"));
    if let Some(disk) = machine.kubelet_disk.as_ref().filter(|_| !own_threshold) {
        let percent = disk.free.saturating_mul(100).checked_div(disk.size).unwrap_or(100);
        if percent < EVICTION_PERCENT {
            findings.warn(
                Check::NodeDisk,
                format!("only {percent} % of the disk of {} is free", spec.node.paths.kubelet.display()),
                "below 10 % the kubelet evicts every pod that it may: free some space, or set kubelet.evictionHard",
            );
        }
    }
}

fn check_etcd_disk(spec: &Spec, disk: &DiskState, findings: &mut Findings) {
    let folder = spec.node.paths.etcd_data.display();
    let problem = format!("the disk of {folder} has {} MiB free", disk.free.checked_div(MIB).unwrap_or_default());
    let remedy = "etcd needs 4 GiB for its data and its log: free some space, or set paths.etcd_data";
    if disk.free < ETCD_LEAST {
        findings.fatal(Check::EtcdDisk, problem, remedy);
    } else if disk.free < ETCD_SPACE {
        findings.warn(Check::EtcdDisk, problem, remedy);
    }
    if let Some(sync) = disk.sync.filter(|sync| sync.as_millis() > SLOW_SYNC_MS) {
        findings.warn(
            Check::EtcdDisk,
            format!("a write to {folder} takes up to {} ms to be on the disk", sync.as_millis()),
            "etcd needs 10 ms or less, or its leader changes under load: use a local SSD (paths.etcd_data)",
        );
    }
}
