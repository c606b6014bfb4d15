//! Upgrades: what runs in the cluster, and moving one node's control plane to another version or other settings, or
//! rolling it back.

mod cluster;
mod control_plane;
mod drift;
mod flags;
mod form;
mod manifests;
mod pods;

use std::path::{Path, PathBuf};

pub use cluster::observe_cluster;
pub use control_plane::{Passage, upgrade_control_plane};
pub use drift::observe_drift;
pub use flags::observe_flags;
pub use manifests::{is_under_way, keep_running};

use super::error::StepError;

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

/// Why a node's control plane is not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// A step failed; completed steps stay, and the same command continues.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The upgrade failed and was rolled back.
    #[error("{component} did not become healthy: {why}. All components were rolled back; no data was lost{}", .snapshot.as_ref().map(|path| format!(", and {} has a snapshot of etcd from before", path.display())).unwrap_or_default())]
    Returned {
        /// The component that failed.
        component: &'static str,
        /// What was wrong with it.
        why: String,
        /// The snapshot that was taken before the upgrade.
        snapshot: Option<PathBuf>,
    },
    /// Neither the upgrade nor the rollback succeeded.
    #[error(
        "{component} is unhealthy: {why}. See /var/log/pods/kube-system_{component}-* or journalctl -u roost-{component}; the previous files are kept in {} until this is finished", .kept.display()
    )]
    Stuck {
        component: &'static str,
        /// What is wrong with it.
        why: String,
        /// Folder of the previous files.
        kept: &'static Path,
    },
    /// Another member is unhealthy; only one member may be down at a time.
    #[error("etcd is not changed while another member is unhealthy: {0}")]
    MembersNotWell(String),
}
