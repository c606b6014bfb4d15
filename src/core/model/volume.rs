//! A volume as containers see it once it is ready on the node.

use std::path::PathBuf;

/// A volume that is ready to be mounted into containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountedVolume {
    /// Path on the node; empty for an image volume, which the runtime mounts.
    pub path: PathBuf,
    /// For an image volume: its reference and pull policy.
    pub image: Option<(String, Option<String>)>,
    /// The volume itself forbids writing.
    pub read_only: bool,
    /// Needs an SELinux relabel.
    pub selinux_relabel: bool,
    /// Groups that a persistent volume asks for (`pv.beta.kubernetes.io/gid`).
    pub supplemental_groups: Vec<i64>,
    /// The path is a block device for `volumeDevices`.
    pub block: bool,
}
