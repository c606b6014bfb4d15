//! Every reported cgroup with its raw reading, for `/metrics/cadvisor`.

use std::path::Path;
use std::sync::Arc;

use super::disk::file_system;
use super::node::system_cgroups;
use super::pods::{Layers, interfaces, started};
use super::shared::Shared;
use crate::adapters::fs::block_mounts::{BlockMount, block_mounts};
use crate::core::model::cgroup_sample::{CgroupDetail, CgroupDetails, DiskCounters, FileSystemDetail};
use crate::core::model::containers_of;
use crate::core::model::usage::FsUsage;
use crate::ports::kubelet::PodView;

pub(super) fn details(shared: &Shared, views: &[Arc<PodView>], layers: &Layers) -> CgroupDetails {
    let mut all = Vec::new();
    let (disks, mounts) = (shared.host.disks(), block_mounts(&shared.options.proc));
    if let Some(mut sample) = shared.tree.sample("/", false) {
        shared.host.complete_root(&mut sample);
        let (started, interfaces) = (Some(shared.host.booted()), shared.host.interfaces(None));
        let filesystems = mounts.iter().filter_map(|mount| whole(mount, &disks)).collect();
        let open_files = shared.host.open_files(&shared.tree.processes("/"));
        all.push(CgroupDetail {
            id: "/".into(),
            started,
            sample,
            interfaces,
            filesystems,
            open_files,
            ..CgroupDetail::default()
        });
    }
    for (_, path) in system_cgroups(shared) {
        if let Some(sample) = shared.tree.sample(&path, false) {
            let open_files = shared.host.open_files(&shared.tree.processes(&path));
            all.push(CgroupDetail { id: path, sample, open_files, ..CgroupDetail::default() });
        }
    }
    let device = layers.mountpoint().and_then(|point| device_of(point, &mounts)).unwrap_or_default();
    let layer_fs = layers.file_system();
    let layer_of = |id: &str| layers.share_of(id, layer_fs).map(|fs| sizes(device, &fs));
    for view in views {
        pod_details(shared, view, &layer_of, &mut all);
    }
    CgroupDetails { cgroups: all, disks }
}

/// A file system with the statistics of its device.
fn whole(mount: &BlockMount, disks: &[DiskCounters]) -> Option<FileSystemDetail> {
    let fs = file_system(&mount.point)?;
    let name = mount.device.strip_prefix("/dev/").unwrap_or(&mount.device);
    let counters = disks.iter().find(|disk| disk.number == mount.number || disk.name == name);
    Some(FileSystemDetail { counters: counters.cloned(), ..sizes(&mount.device, &fs) })
}

fn sizes(device: &str, fs: &FsUsage) -> FileSystemDetail {
    FileSystemDetail {
        device: device.to_owned(),
        capacity: fs.capacity_bytes.unwrap_or(0),
        used: fs.used_bytes.unwrap_or(0),
        inodes: fs.inodes.unwrap_or(0),
        inodes_free: fs.inodes_free.unwrap_or(0),
        counters: None,
    }
}

/// The device that contains a path; `None` if it is not one of this machine's.
fn device_of<'a>(path: &Path, mounts: &'a [BlockMount]) -> Option<&'a str> {
    let above = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    above.max_by_key(|mount| mount.point.as_os_str().len()).map(|mount| mount.device.as_str())
}

/// A pod, its sandbox and its containers; `layer_of` returns the writable layer of a container id.
fn pod_details(
    shared: &Shared,
    view: &PodView,
    layer_of: &dyn Fn(&str) -> Option<FileSystemDetail>,
    all: &mut Vec<CgroupDetail>,
) {
    let path = shared.tree.pod(&view.pod);
    let metadata = &view.pod.metadata;
    let of_pod = CgroupDetail {
        pod: metadata.name.clone().unwrap_or_default(),
        namespace: metadata.namespace.clone().unwrap_or_default(),
        ..CgroupDetail::default()
    };
    let Some(sample) = shared.tree.sample(&path, false) else { return };
    let pod_started = view.status.start_time.as_ref().map(|t| t.0);
    all.push(CgroupDetail { id: path.clone(), sample, started: pod_started, ..of_pod.clone() });
    // The sandbox is the one without a container name.
    let mut push = |id: &str, container: &str, image: String| {
        let Some(path) = shared.tree.container(&path, id) else { return };
        let Some(sample) = shared.tree.sample(&path, false) else { return };
        let is_sandbox = container.is_empty();
        all.push(CgroupDetail {
            name: id.to_owned(),
            image,
            container: container.to_owned(),
            started: if is_sandbox { pod_started } else { started(&view.status, container) },
            interfaces: if is_sandbox { interfaces(shared, view, &shared.tree.pod(&view.pod)) } else { Vec::new() },
            filesystems: layer_of(id).into_iter().collect(),
            open_files: shared.host.open_files(&shared.tree.processes(&path)),
            id: path,
            sample,
            ..of_pod.clone()
        });
    };
    if let Some(sandbox) = &view.sandbox {
        push(sandbox.as_str(), "", String::new());
    }
    let containers = containers_of(&view.pod);
    for running in view.containers.iter().filter(|c| c.running) {
        let image = containers.iter().find(|(_, c)| c.name == running.name).and_then(|(_, c)| c.image.clone());
        push(running.id.as_str(), &running.name, image.unwrap_or_default());
    }
}
