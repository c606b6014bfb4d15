//! Upgrades: what runs in the cluster, and moving one node's control plane to another version or other settings, or
//! rolling it back.

mod cluster;
mod control_plane;
mod drift;
mod error;
mod flags;
mod form;
mod manifests;
mod pods;

use std::path::Path;

pub use cluster::observe_cluster;
pub use control_plane::{ControlPlaneChange, upgrade_control_plane};
pub use drift::observe_drift;
pub use error::Error;
pub use flags::observe_flags;
pub use manifests::{is_under_way, keep_running};

/// Why a control plane is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Another version: a snapshot is taken first, and etcd is restarted only if its own version changes.
    Version,
    Settings,
}

impl Purpose {
    /// Every purpose, in order.
    pub const ALL: [Self; 2] = [Self::Version, Self::Settings];

    /// Folder of the replaced manifests while a change is unfinished.
    pub fn kept(self) -> &'static Path {
        Path::new(match self {
            Self::Version => "/var/lib/roost/upgrade",
            Self::Settings => "/var/lib/roost/apply",
        })
    }
}
