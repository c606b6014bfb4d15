//! Probes the machine for the preflight checks.

#![expect(clippy::disallowed_methods, reason = "for programs that end")]

mod clock;
mod disk;
mod ports;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::adapters::cri::Cri;
use crate::adapters::machine::has_address;
use crate::adapters::network::list_chains;
use crate::core::bootstrap::preflight::{control_plane_ports, parse_chains, wanted_programs, worker_ports};
use crate::core::bootstrap::units::{AGENT, JOINED_FILE};
use crate::core::bootstrap::{kubeconfig, services};
use crate::core::host::swap_devices;
use crate::core::model::preflight::{MODULES, MachineState, ObservedRules, ObservedRuntime, PLUGINS, Traces};
use crate::core::model::spec::{Component, ComponentSource, Spec};
use crate::ports::bootstrap::Units;

pub use clock::observe_clock;

const RUNTIME: &str = "containerd.service";
/// Timeout of a call to the runtime.
const PATIENCE: Duration = Duration::from_secs(10);
/// Folders that are searched for CNI plugins if the runtime does not name its own.
const PLUGIN_FOLDERS: [&str; 1] = ["/opt/cni/bin"];

/// Observes the machine as a node with these settings. With `measure` the latency of etcd's disk is measured, by a file
/// without a name.
pub async fn observe_machine(
    spec: &Spec,
    control_plane: bool,
    units: Option<&dyn Units>,
    measure: bool,
) -> MachineState {
    let state = async |unit: &str| match units {
        Some(units) => units.state(unit).await.unwrap_or_default(),
        None => Default::default(),
    };
    let root = rustix::process::geteuid().is_root();
    let containerd = state(RUNTIME).await;
    let runtime = match root && containerd.is_active() {
        true => Cri::new(&spec.node.runtime_socket, PATIENCE).observe_state().await,
        false => ObservedRuntime::NotAsked,
    };
    let plugin_folders = match &runtime {
        ObservedRuntime::Answers(runtime) if !runtime.plugin_folders.is_empty() => runtime.plugin_folders.clone(),
        _ => PLUGIN_FOLDERS.map(PathBuf::from).to_vec(),
    };
    let needs = if control_plane { control_plane_ports(spec) } else { worker_ports(spec) };
    let archives = match &spec.cluster.source {
        ComponentSource::Archive { paths } => paths.as_slice(),
        ComponentSource::Registry | ComponentSource::Host { .. } => &[],
    };
    MachineState {
        root,
        systemd: Path::new("/run/systemd/system").is_dir(),
        runtime_unit: containerd.load == "loaded",
        kubelet_active: state("kubelet.service").await.is_active(),
        agent_active: state(AGENT).await.is_active(),
        services_active: state(&services::unit(Component::Etcd)).await.is_on_its_way()
            || state(&services::unit(Component::ApiServer)).await.is_on_its_way(),
        taken_ports: ports::observe_taken(&needs),
        missing_programs: wanted_programs(spec, control_plane).into_iter().filter(|path| !is_program(path)).collect(),
        missing_archives: archives.iter().filter(|path| !path.exists()).cloned().collect(),
        missing_plugins: PLUGINS
            .into_iter()
            .filter(|plugin| !plugin_folders.iter().any(|folder| is_program(&folder.join(plugin))))
            .collect(),
        runtime,
        plugin_folders,
        rules: match root {
            true => match list_chains("nft".as_ref()).await {
                Ok(listing) => ObservedRules::Chains(parse_chains(&listing)),
                Err(error) => ObservedRules::Fails(crate::core::model::with_causes(&error)),
            },
            false => ObservedRules::NotAsked,
        },
        swaps: swap_devices(&read("/proc/swaps")).map(str::to_owned).collect(),
        memory: memory(&read("/proc/meminfo")),
        cgroup_v2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        has_address: has_address(spec.node.address),
        missing_modules: missing_modules(&read("/proc/modules"), &read("/proc/filesystems")),
        ip_forward: read("/proc/sys/net/ipv4/ip_forward").trim() == "1",
        etcd_disk: disk::observe(&spec.node.paths.etcd_data, measure && root),
        kubelet_disk: disk::observe(&spec.node.paths.kubelet, false),
        clock_ahead: None,
        traces: observe_traces(spec),
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// What is left of an earlier cluster, or of an earlier run.
fn observe_traces(spec: &Spec) -> Traces {
    let paths = &spec.node.paths;
    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    let kubelet = std::fs::read_to_string(paths.kubeconfig("kubelet.conf")).ok();
    Traces {
        ca: std::fs::read_to_string(paths.pki("ca.crt")).ok(),
        // A file that is not a kubeconfig counts as one that trusts nothing.
        kubelet_ca: kubelet.map(|text| kubeconfig::parse(&text).and_then(|parsed| parsed.ca).unwrap_or_default()),
        control_plane: paths.pki("apiserver.crt").exists(),
        shared_keys: paths.pki("sa.key").exists(),
        joined: Path::new(JOINED_FILE).exists(),
        etcd_data: paths.etcd_data.join("member").exists(),
        snapshots: names(&paths.snapshots).iter().filter(|name| name.ends_with(".db")).count(),
        networks: names(&paths.cni_conf),
    }
}

/// Bytes of memory, of `/proc/meminfo`; zero if it is not known.
fn memory(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<u64> = total.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_default().saturating_mul(1024)
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
        // It is only visible through netlink; `nft` reports a kernel without it.
        _ => true,
    };
    MODULES.into_iter().filter(|name| !loaded(name) && !built_in(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_the_machines_total() {
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:        2048 kB\n"), 2 << 20);
        assert_eq!(memory(""), 0);
    }
}
