//! A volume that is set up on the node, as containers mount it.

use std::path::PathBuf;

/// A volume that is ready to be mounted into containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountedVolume {
    /// Path on the node; empty for an image volume, which the runtime mounts.
    pub path: PathBuf,
    /// For an image volume: its reference and pull policy.
    pub image: Option<(String, Option<String>)>,
    /// True if the volume itself is read-only.
    pub read_only: bool,
    /// True if it needs an SELinux relabel.
    pub selinux_relabel: bool,
    /// Additional groups that a persistent volume requires (`pv.beta.kubernetes.io/gid`).
    pub supplemental_groups: Vec<i64>,
    /// True if the path is a block device for `volumeDevices`.
    pub block: bool,
}
