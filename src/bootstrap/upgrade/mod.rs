//! Upgrades: what the cluster runs, and one node's control plane brought to another version, or other settings, or back.

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

/// Why a node's control plane is not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// A step failed; what was done stays, and the same command continues.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The upgrade was given up and rolled back.
    #[error("{component} did not become healthy: {why}. All components were rolled back; no data was lost{}", .snapshot.as_ref().map(|path| format!(", and {} has a snapshot of etcd from before", path.display())).unwrap_or_default())]
    Returned {
        /// What did not come up.
        component: &'static str,
        /// Why.
        why: String,
        /// The snapshot that was taken first.
        snapshot: Option<PathBuf>,
    },
    /// Neither the upgrade nor the rollback succeeded.
    #[error(
        "{component} is unhealthy: {why}. See /var/log/pods/kube-system_{component}-* or journalctl -u roost-{component}; the previous files are kept in {} until this is finished", .kept.display()
    )]
    Stuck {
        /// What is unhealthy.
        component: &'static str,
        /// Why.
        why: String,
        /// Where copies are.
        kept: &'static Path,
    },
    /// One member at a time may be away.
    #[error("etcd is not changed while another member is unhealthy: {0}")]
    MembersNotWell(String),
}
