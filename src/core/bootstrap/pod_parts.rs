//! Building blocks of the control plane's static pods: host paths, and errors of rendering.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{HostPathVolumeSource, Pod, Volume, VolumeMount};

use crate::core::model::spec::Component;

/// Annotation with the version of a host program, which has no image tag: a new version creates a new pod.
pub const VERSION_ANNOTATION: &str = "roost.io/kubernetes-version";

/// Why a manifest could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The settings name no program of the host for it.
    #[error("no program of the host is configured for {0}: name it in [components.binaries]")]
    NoProgram(String),
    /// A setting names a file that does not exist.
    #[error("{setting}: file {path} does not exist")]
    NoFile {
        /// Name of the setting, as in cluster.toml.
        setting: &'static str,
        /// Path of the missing file.
        path: PathBuf,
    },
    /// The built-in manifest is not a Pod with one container.
    #[error("static-pods/{component}.yaml: {message}")]
    Manifest {
        /// The component, whose name is that of its file in `static-pods/`.
        component: Component,
        /// What is wrong with it, or the parser's message.
        message: String,
    },
}

/// A path of the node that is mounted into a pod.
pub(super) struct HostPath<'a> {
    /// Path on the node.
    pub path: &'a Path,
    /// Path in the container.
    pub inside: &'a str,
    /// The volume's `hostPath.type`, e.g. `DirectoryOrCreate`.
    pub kind: &'a str,
    /// `false` mounts it read-only.
    pub writable: bool,
}

/// Mounts it into the pod's first container.
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
