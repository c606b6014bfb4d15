//! Parts of the control plane's static pods: paths of the node in a pod, and why there is no manifest.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{HostPathVolumeSource, Pod, Volume, VolumeMount};

/// Why there is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such component.
    #[error("unknown component {0}")]
    Unknown(String),
    /// A file that a setting names.
    #[error("{setting}: file {path} does not exist")]
    NoFile {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The built-in manifest is no Pod with one container.
    #[error("static-pods/{component}.yaml: {message}")]
    Manifest {
        /// Component.
        component: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Something of the node in a pod.
pub(super) struct HostPath<'a> {
    /// Where it is on the node.
    pub path: &'a Path,
    /// Where the pod sees it.
    pub inside: &'a str,
    /// A volume's `hostPath.type`.
    pub kind: &'a str,
    /// The pod may write it.
    pub writable: bool,
}

/// Lets the pod see it, in its first container.
pub(super) fn add_host_path(pod: &mut Pod, name: &str, host: HostPath<'_>) {
    let Some(pod_spec) = pod.spec.as_mut() else { return };
    pod_spec.volumes.get_or_insert_default().push(Volume {
        name: name.to_owned(),
        host_path: Some(HostPathVolumeSource {
            path: host.path.display().to_string(),
            type_: Some(host.kind.to_owned()),
        }),
        ..Volume::default()
    });
    if let Some(container) = pod_spec.containers.first_mut() {
        container.volume_mounts.get_or_insert_default().push(VolumeMount {
            name: name.to_owned(),
            mount_path: host.inside.to_owned(),
            read_only: (!host.writable).then_some(true),
            ..VolumeMount::default()
        });
    }
}
