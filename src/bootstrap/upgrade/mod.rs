//! Upgrades: what the cluster runs, and one node's control plane brought to another version or back.

mod cluster;
mod control_plane;
mod manifests;
mod pods;

use std::path::PathBuf;

pub use cluster::observe_cluster;
pub use control_plane::{Passage, upgrade_control_plane};
pub use manifests::{is_under_way, keep_running};

use super::error::StepError;

/// Where the manifests are kept that an upgrade under way has replaced.
pub const KEPT: &str = "/var/lib/roost/upgrade";

/// Why a node's control plane is not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// A step failed; what was done stays, and the same command goes on.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The way forth was given up.
    #[error("{component} did not come up: {why}. Everything is as it was before; nothing was lost{}", .snapshot.as_ref().map(|path| format!(", and {} holds etcd as it was", path.display())).unwrap_or_default())]
    Returned {
        /// What did not come up.
        component: &'static str,
        /// Why.
        why: String,
        /// The snapshot that was taken first.
        snapshot: Option<PathBuf>,
    },
    /// There is no way forth or back.
    #[error(
        "{component} is not well: {why}. See /var/log/pods/kube-system_{component}-*; the manifests before an upgrade are kept in {KEPT} while it is under way"
    )]
    Stuck {
        /// What is not well.
        component: &'static str,
        /// Why.
        why: String,
    },
    /// One member at a time may be away.
    #[error("etcd is not touched while another member is not well: {0}")]
    MembersNotWell(String),
}
