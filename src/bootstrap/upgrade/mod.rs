//! Upgrades: what the cluster runs, and one node's control plane brought to another version, or other settings, or back.

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
pub use control_plane::{Passage, upgrade_control_plane};
pub use drift::observe_drift;
pub use error::Error;
pub use flags::observe_flags;
pub use manifests::{is_under_way, keep_running};

/// Why a control plane is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Another version: etcd, whose version may be the same, is restarted for that alone, and a snapshot comes first.
    Version,
    /// Other settings.
    Settings,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Version, Self::Settings];

    /// Where the manifests are kept that were replaced, while a change is under way.
    pub fn kept(self) -> &'static Path {
        Path::new(match self {
            Self::Version => "/var/lib/roost/upgrade",
            Self::Settings => "/var/lib/roost/apply",
        })
    }
}
