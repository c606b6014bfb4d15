//! Probes the machine for the preflight checks.

#![expect(clippy::disallowed_methods, reason = "for programs that end")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::core::bootstrap::services;
use crate::core::bootstrap::units::AGENT;
use crate::core::model::preflight::{MODULES, MachineState};
use crate::core::model::spec::{Component, Spec};
use crate::ports::bootstrap::Units;

/// Observes the machine. `ports` and `programs` are those that a run needs.
pub async fn observe_machine(
    spec: &Spec,
    units: Option<&dyn Units>,
    ports: &[u16],
    programs: &[PathBuf],
    archives: &[PathBuf],
) -> MachineState {
    let state = async |unit: &str| match units {
        Some(units) => units.state(unit).await.unwrap_or_default(),
        None => Default::default(),
    };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    MachineState {
        root: rustix::process::geteuid().is_root(),
        systemd: Path::new("/run/systemd/system").is_dir(),
        runtime_unit: state("containerd.service").await.load == "loaded",
        kubelet_active: state("kubelet.service").await.is_active(),
        agent_active: state(AGENT).await.is_active(),
        services_active: state(&services::unit(Component::Etcd)).await.is_on_its_way()
            || state(&services::unit(Component::ApiServer)).await.is_on_its_way(),
        taken_ports: ports.iter().copied().filter(|port| is_taken(*port)).collect(),
        missing_programs: programs.iter().filter(|path| !is_program(path)).cloned().collect(),
        missing_archives: archives.iter().filter(|path| !path.exists()).cloned().collect(),
        swaps: read("/proc/swaps")
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect(),
        cgroup_v2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        // Only an address of this machine can be bound.
        has_address: UdpSocket::bind(SocketAddr::new(spec.node.address, 0)).is_ok(),
        missing_modules: missing_modules(&read("/proc/modules"), &read("/proc/filesystems")),
        ip_forward: read("/proc/sys/net/ipv4/ip_forward").trim() == "1",
    }
}

/// Listening on all addresses fails if any of them is in use.
fn is_taken(port: u16) -> bool {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
        Ok(_) => false,
        Err(error) => error.kind() == std::io::ErrorKind::AddrInUse,
    }
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A feature may be a module or built in; it exists if it has left a trace.
fn missing_modules(modules: &str, filesystems: &str) -> Vec<&'static str> {
    let loaded = |name: &str| modules.lines().any(|line| line.split(' ').next() == Some(name));
    let built_in = |name: &str| match name {
        "overlay" => filesystems.lines().any(|line| line.trim().ends_with("overlay")),
        "br_netfilter" => Path::new("/proc/sys/net/bridge").exists(),
        // It is only visible through netlink; kube-proxy reports a kernel without it.
        _ => true,
    };
    MODULES.into_iter().filter(|name| !loaded(name) && !built_in(name)).collect()
}
