//! Every cgroup of interest with its raw reading, for `/metrics/cadvisor`.

use std::sync::Arc;

use super::node::system_cgroups;
use super::pods::{Layers, interfaces, started};
use super::shared::Shared;
use crate::core::model::cgroup_sample::CgroupDetail;
use crate::core::model::containers_of;
use crate::ports::PodView;

pub(super) fn details(shared: &Shared, views: &[Arc<PodView>], layers: &Layers) -> Vec<CgroupDetail> {
    let mut all = Vec::new();
    if let Some(mut sample) = shared.tree.sample("/", false) {
        shared.host.complete_root(&mut sample);
        let (started, interfaces) = (Some(shared.host.booted()), shared.host.interfaces(None));
        all.push(CgroupDetail { id: "/".into(), started, sample, interfaces, ..CgroupDetail::default() });
    }
    for (_, path) in system_cgroups(shared) {
        if let Some(sample) = shared.tree.sample(&path, false) {
            all.push(CgroupDetail { id: path, sample, ..CgroupDetail::default() });
        }
    }
    for view in views {
        pod_details(shared, view, layers, &mut all);
    }
    all
}

fn pod_details(shared: &Shared, view: &PodView, layers: &Layers, all: &mut Vec<CgroupDetail>) {
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
    // The sandbox is the one without a container's name.
    let mut push = |id: &str, container: &str, image: String| {
        let Some(path) = shared.tree.container(&path, id) else { return };
        let Some(sample) = shared.tree.sample(&path, false) else { return };
        let is_sandbox = container.is_empty();
        let layer = layers.of(id);
        all.push(CgroupDetail {
            id: path.clone(),
            name: id.to_owned(),
            image,
            container: container.to_owned(),
            started: if is_sandbox { pod_started } else { started(&view.status, container) },
            interfaces: if is_sandbox { interfaces(shared, view, &shared.tree.pod(&view.pod)) } else { Vec::new() },
            rootfs_used: layer.map(|l| l.bytes),
            rootfs_inodes: layer.map(|l| l.inodes),
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
