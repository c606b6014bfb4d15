//! Why a node's control plane is not changed.

use std::path::{Path, PathBuf};

use crate::bootstrap::error::StepError;
use crate::bootstrap::etcd;
use crate::bootstrap::pods::PodsError;
use crate::core::bootstrap::static_pods;
use crate::core::model::spec::Component;
use crate::ports::bootstrap::{ClusterObjectsError, FileError};
use crate::ports::node::UnitError;

/// Why a node's control plane is not brought to another version or to other settings. What was done stays, and the
/// same command continues.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The control plane runs as services; an upgrade would write manifests that run beside them.
    #[error(
        "the control plane of this node runs as systemd services, whose programs you replace yourself (see docs/systemd.md); to upgrade it with this command run `bootstrap convert --to static-pods` first"
    )]
    AreServices,
    /// A conversion was interrupted.
    #[error(
        "this node has both manifests and services of its control plane; run `bootstrap convert` to finish the conversion"
    )]
    BothForms,
    /// The control plane does not run as the setting `mode` says.
    #[error(
        "the control plane of this node does not run as the setting `mode` says; run `bootstrap convert --to {to}` or change `mode`"
    )]
    OtherMode {
        /// The value of `mode`.
        to: &'static str,
    },
    /// The upgrade was given up and rolled back.
    #[error("{component} did not become healthy: {why}. All components were rolled back; no data was lost{}", .snapshot.as_ref().map(|path| format!(", and {} has a snapshot of etcd from before", path.display())).unwrap_or_default())]
    RolledBack {
        /// The component that did not become healthy.
        component: Component,
        /// What was seen of it last.
        why: String,
        /// The snapshot that was taken first; `None` if none was needed.
        snapshot: Option<PathBuf>,
    },
    /// Neither the upgrade nor the rollback succeeded.
    #[error(
        "{component} is unhealthy: {why}. See /var/log/pods/kube-system_{component}-* or journalctl -u roost-{component}; the previous files are kept in {} until this is finished", .kept.display()
    )]
    Stuck {
        /// The component that is unhealthy.
        component: Component,
        /// What was seen of it last.
        why: String,
        /// Folder with the previous files.
        kept: &'static Path,
    },
    /// One member at a time may be unavailable.
    #[error("etcd is not changed while another member is unhealthy: {0}")]
    UnhealthyMembers(String),
    /// etcd could not be asked, or no snapshot could be taken.
    #[error(transparent)]
    Etcd(#[from] etcd::Error),
    /// The API refused, or did not answer.
    #[error(transparent)]
    Objects(#[from] ClusterObjectsError),
    /// A file of this node could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// systemd did not answer, or refused.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// The runtime did not report its pods.
    #[error(transparent)]
    Pods(#[from] PodsError),
    /// A manifest could not be rendered from the settings.
    #[error(transparent)]
    Manifest(#[from] static_pods::Error),
    /// The node could not be looked at.
    #[error(transparent)]
    Step(#[from] StepError),
}
