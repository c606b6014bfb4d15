//! Usage of volumes in a pod's own directory.

use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, Volume};

use super::disk::{Directories, file_system, share};
use crate::core::model::uid_of;
use crate::core::model::usage::VolumeUsage;

/// Measures them; volumes of other kinds (host paths, images) are not attributed to a pod.
pub fn volume_usage(root_dir: &Path, pod: &Pod, directories: &Directories, fresh: bool) -> Vec<VolumeUsage> {
    let base = root_dir.join("pods").join(uid_of(pod).as_str()).join("volumes");
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| {
            let (plugin, local_ephemeral) = kind(volume)?;
            let path = base.join(plugin).join(&volume.name);
            let fs = share(file_system(&path)?, directories.taken(&path, fresh));
            Some(VolumeUsage { fs, name: volume.name.clone(), pvc_ref: None, local_ephemeral })
        })
        .collect()
}

/// Directory name of the plugin, and whether the volume counts as ephemeral storage.
fn kind(volume: &Volume) -> Option<(&'static str, bool)> {
    if let Some(empty) = &volume.empty_dir {
        return Some(("kubernetes.io~empty-dir", empty.medium.as_deref() != Some("Memory")));
    }
    if volume.config_map.is_some() {
        return Some(("kubernetes.io~configmap", true));
    }
    if volume.downward_api.is_some() {
        return Some(("kubernetes.io~downward-api", true));
    }
    if volume.secret.is_some() {
        return Some(("kubernetes.io~secret", false));
    }
    volume.projected.is_some().then_some(("kubernetes.io~projected", false))
}
