//! Usage of one pod: its cgroup, its containers' cgroups, its network, its disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

use super::disk::{Taken, file_system, share};
use super::shared::Shared;
use super::volumes::volume_usage;
use crate::core::model::usage::{ContainerUsage, FsUsage, InterfaceUsage, PodReference, PodUsage, ProcessUsage};
use crate::core::usage::{derive_container, derive_cpu, derive_io, derive_memory, derive_network, derive_swap};
use crate::ports::kubelet::{ContainerStats, ContainerView, PodView, UsageDepth};
use crate::ports::node::ImageService;

/// What only the runtime knows: usage and location of writable layers.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    by_container: HashMap<String, Taken>,
    mountpoint: Option<PathBuf>,
}

impl Layers {
    /// Two calls for all containers together; empty if the runtime does not report it.
    pub(super) async fn ask(runtime: &dyn ContainerStats, images: &dyn ImageService) -> Self {
        let (stats, info) = tokio::join!(runtime.list_container_stats(), images.image_fs_info());
        let stats = stats.unwrap_or_default();
        let layer = |stats: crate::cri::ContainerStats| {
            let layer = stats.writable_layer?;
            let taken = Taken {
                bytes: layer.used_bytes.map_or(0, |v| v.value),
                inodes: layer.inodes_used.map_or(0, |v| v.value),
            };
            Some((stats.attributes?.id, taken))
        };
        let info = info.ok();
        let first = info.and_then(|i| i.container_filesystems.first().or(i.image_filesystems.first()).cloned());
        let mountpoint = first.and_then(|fs| Some(PathBuf::from(fs.fs_id?.mountpoint)));
        Self { by_container: stats.into_iter().filter_map(layer).collect(), mountpoint }
    }

    /// Where the writable layers are.
    pub(super) fn mountpoint(&self) -> Option<&Path> {
        self.mountpoint.as_deref()
    }

    /// The file system that contains all writable layers.
    pub(super) fn file_system(&self) -> Option<FsUsage> {
        file_system(self.mountpoint()?)
    }

    /// A container's part of that file system: its writable layer.
    pub(super) fn share_of(&self, id: &str, fs: Option<FsUsage>) -> Option<FsUsage> {
        Some(share(fs?, *self.by_container.get(id)?))
    }
}

/// Measures a pod; `None` if it has no sandbox or no cgroup.
pub(super) fn pod_usage(
    shared: &Shared,
    view: &PodView,
    layers: &Layers,
    depth: UsageDepth,
    fresh: bool,
) -> Option<PodUsage> {
    let shallow = depth == UsageDepth::CpuAndMemory;
    view.sandbox.as_ref()?;
    let path = shared.tree.pod(&view.pod);
    let sample = shared.tree.sample(&path, shallow)?;
    let swap_free = Some(shared.host.memory().swap_free);
    let mut usage = PodUsage {
        pod_ref: reference(&view.pod),
        start_time: view.status.start_time.as_ref().map_or(sample.at, |t| t.0),
        containers: Vec::new(),
        cpu: derive_cpu(&sample, shared.rate(&path, &sample)),
        memory: derive_memory(&sample, None),
        io: derive_io(&sample),
        network: None,
        volumes: Vec::new(),
        ephemeral_storage: None,
        processes: sample.tasks.map(|process_count| ProcessUsage { process_count }),
        swap: derive_swap(&sample, swap_free),
    };
    let layer_fs = if shallow { None } else { layers.file_system() };
    for container in view.containers.iter().filter(|c| c.running) {
        let measured = shared.tree.container(&path, container.id.as_str()).and_then(|path| {
            let sample = shared.tree.sample(&path, shallow)?;
            let rate = shared.rate(&path, &sample);
            let started = started(&view.status, &container.name).unwrap_or(sample.at);
            Some(derive_container(&container.name, started, &sample, rate, swap_free))
        });
        // A container that just exited has no cgroup any more.
        let Some(mut measured) = measured else { continue };
        if !shallow {
            measured.rootfs = layers.share_of(container.id.as_str(), layer_fs);
            measured.logs = log_usage(shared, container, fresh);
        }
        usage.containers.push(measured);
    }
    if !shallow {
        let interfaces = interfaces(shared, view, &path);
        usage.network = (!interfaces.is_empty()).then(|| derive_network(interfaces, sample.at));
        if shared.options.volumes.is_some() {
            usage.volumes = volume_usage(&shared.options.root_dir, &view.pod, &shared.directories, fresh);
        }
        usage.ephemeral_storage = ephemeral(shared, &usage.containers, &usage.volumes);
    }
    Some(usage)
}

fn reference(pod: &Pod) -> PodReference {
    let metadata = &pod.metadata;
    PodReference {
        name: metadata.name.clone().unwrap_or_default(),
        namespace: metadata.namespace.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
    }
}

/// When a running container started.
pub(super) fn started(status: &PodStatus, container: &str) -> Option<Timestamp> {
    let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let mut all = lists.into_iter().flat_map(|list| list.iter().flatten());
    let found: &ContainerStatus = all.find(|c| c.name == container)?;
    Some(found.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
}

/// Interfaces of the pod's network namespace; none for a pod in the host's network.
pub(super) fn interfaces(shared: &Shared, view: &PodView, pod_path: &str) -> Vec<InterfaceUsage> {
    if view.pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true)) {
        return Vec::new();
    }
    let ids = view.sandbox.iter().map(|id| id.as_str().to_owned());
    let ids = ids.chain(view.containers.iter().filter(|c| c.running).map(|c| c.id.as_str().to_owned()));
    let mut paths = ids.filter_map(|id| shared.tree.container(pod_path, &id));
    let process = paths.find_map(|path| shared.tree.first_process(&path));
    process.map(|process| shared.host.interfaces(Some(process))).unwrap_or_default()
}

fn log_usage(shared: &Shared, container: &ContainerView, fresh: bool) -> Option<FsUsage> {
    let directory = Path::new(&container.log_path).parent().filter(|_| !container.log_path.is_empty())?;
    Some(share(file_system(directory)?, shared.directories.taken(directory, fresh)))
}

/// Writable layers, logs and local volumes together, on the file system of the kubelet's directory.
fn ephemeral(
    shared: &Shared,
    containers: &[ContainerUsage],
    volumes: &[crate::core::model::usage::VolumeUsage],
) -> Option<FsUsage> {
    let of_containers = containers.iter().flat_map(|c| [c.rootfs, c.logs]).flatten();
    let of_volumes = volumes.iter().filter(|v| v.local_ephemeral).map(|v| v.fs);
    let total = of_containers.chain(of_volumes).fold(Taken::default(), |sum, fs| Taken {
        bytes: sum.bytes.saturating_add(fs.used_bytes.unwrap_or(0)),
        inodes: sum.inodes.saturating_add(fs.inodes_used.unwrap_or(0)),
    });
    Some(share(file_system(&shared.options.root_dir)?, total))
}
