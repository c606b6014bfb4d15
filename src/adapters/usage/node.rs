//! The node as a whole, and its system parts.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::path::Path;

use jiff::Timestamp;

use super::disk::file_system;
use super::shared::Shared;
use crate::core::model::usage::{ContainerUsage, FsUsage, NodeUsage, RuntimeFsUsage};
use crate::core::usage::{derive_container, derive_cpu, derive_io, derive_memory, derive_network, derive_swap};
use crate::cri;
use crate::ports::kubelet::UsageDepth;

/// Cgroups in which a runtime usually runs.
const RUNTIMES: [&str; 2] = ["/system.slice/containerd.service", "/system.slice/crio.service"];

/// Programs of the runtimes in those cgroups.
const DAEMONS: [&str; 2] = ["containerd", "crio"];

/// A node without any measurement.
pub(super) fn nothing(shared: &Shared) -> NodeUsage {
    NodeUsage {
        node_name: shared.options.node_name.clone(),
        system_containers: Vec::new(),
        start_time: shared.host.booted(),
        cpu: None,
        memory: None,
        io: None,
        network: None,
        fs: None,
        runtime: None,
        rlimit: None,
        swap: None,
    }
}

pub(super) fn node_usage(shared: &Shared, depth: UsageDepth, images: Option<&cri::ImageFsInfoResponse>) -> NodeUsage {
    let shallow = depth == UsageDepth::CpuAndMemory;
    let memory = shared.host.memory();
    let mut usage = nothing(shared);
    if let Some(mut root) = shared.tree.sample("/", shallow) {
        shared.host.complete_root(&mut root);
        usage.cpu = derive_cpu(&root, shared.rate("/", &root));
        usage.memory = derive_memory(&root, Some(memory.total));
        usage.io = derive_io(&root);
        usage.swap = derive_swap(&root, Some(memory.swap_free));
    }
    usage.system_containers = system_containers(shared, shallow);
    if !shallow {
        usage.network = Some(derive_network(shared.host.interfaces(None), Timestamp::now()));
        usage.fs = file_system(&shared.options.root_dir);
        usage.rlimit = shared.host.pids();
        usage.runtime = images.map(|info| RuntimeFsUsage {
            image_fs: runtime_fs(&info.image_filesystems),
            container_fs: runtime_fs(&info.container_filesystems).or_else(|| runtime_fs(&info.image_filesystems)),
        });
    }
    usage
}

/// Usage as reported by the runtime; size and free space of the file system.
fn runtime_fs(filesystems: &[cri::FilesystemUsage]) -> Option<FsUsage> {
    let first = filesystems.first()?;
    let fs = file_system(Path::new(&first.fs_id.as_ref()?.mountpoint))?;
    Some(FsUsage {
        used_bytes: first.used_bytes.as_ref().map(|v| v.value),
        inodes_used: first.inodes_used.as_ref().map(|v| v.value),
        ..fs
    })
}

fn system_containers(shared: &Shared, shallow: bool) -> Vec<ContainerUsage> {
    let swap_free = Some(shared.host.memory().swap_free);
    system_cgroups(shared)
        .into_iter()
        .filter_map(|(name, path)| {
            let mut sample = shared.tree.sample(&path, shallow)?;
            // In version 1 a unit has a memory cgroup but none for CPU, unless it requests that.
            sample.cpu.usage = sample.cpu.usage.or_else(|| processor_time(shared, name, &path));
            let rate = shared.rate(&path, &sample);
            Some(derive_container(name, made(shared, &path), &sample, rate, swap_free))
        })
        .collect()
}

/// CPU time of the program itself, if its cgroup has none.
fn processor_time(shared: &Shared, name: &str, path: &str) -> Option<u64> {
    match name {
        "kubelet" => shared.host.processor_time("self"),
        "runtime" => {
            let processes = shared.tree.processes(path);
            let is_daemon = |process: &&String| DAEMONS.contains(&shared.host.program(process).as_str());
            shared.host.processor_time(processes.iter().find(is_daemon)?)
        }
        _ => None,
    }
}

/// Name and path of the system parts that are reported.
pub(super) fn system_cgroups(shared: &Shared) -> Vec<(&'static str, String)> {
    let own = shared.tree.own(&shared.options.proc).map(|path| ("kubelet", path));
    let runtime = RUNTIMES.iter().find(|path| shared.tree.directory("memory", path).is_dir());
    let runtime = runtime.map(|path| ("runtime", (*path).to_owned()));
    own.into_iter().chain(runtime).chain([("pods", shared.tree.kubepods())]).collect()
}

/// Creation time of a cgroup.
fn made(shared: &Shared, path: &str) -> Timestamp {
    let metadata = std::fs::metadata(shared.tree.directory("memory", path));
    let modified = metadata.and_then(|m| m.modified()).ok();
    modified.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_else(|| shared.host.booted())
}
