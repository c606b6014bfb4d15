//! Why a command failed or is refused.

use std::path::PathBuf;

use crate::bootstrap::api::ConnectError;
use crate::bootstrap::apply_settings::ApplyError;
use crate::bootstrap::rotation::RotationError;
use crate::bootstrap::run::RunError;
use crate::bootstrap::upgrade::Purpose;
use crate::bootstrap::{etcd, join, upgrade};
use crate::core::model::VersionError;
use crate::ports::bootstrap::{EtcdFileError, FileError};

/// Why a command failed or is refused. After a failure the same command continues.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Run(#[from] RunError),
    /// The node could not be brought to its settings.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The control plane could not be brought to another version.
    #[error(transparent)]
    Upgrade(#[from] upgrade::Error),
    /// A stage of the rotation of the CAs failed.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// An operation on etcd failed.
    #[error(transparent)]
    Etcd(#[from] etcd::Error),
    /// The snapshot cannot be used.
    #[error(transparent)]
    EtcdFile(#[from] EtcdFileError),
    /// The cluster was not found, or cannot be joined.
    #[error(transparent)]
    Join(#[from] join::Error),
    /// No connection to the API.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A file of this node could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A version of the settings is not one.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The version could not be kept for later commands.
    #[error(transparent)]
    Record(Box<dyn std::error::Error + Send + Sync>),
    /// `init --snapshot` without the PKI of the lost cluster.
    #[error("{} does not exist: without the PKI of the lost cluster no node and no client trusts the restored one", .path.display())]
    NoPki {
        /// The file that is missing.
        path: PathBuf,
    },
    /// `init --snapshot` on a node whose etcd has data.
    #[error("etcd already has data in {}: run `bootstrap init` without --snapshot to continue with it, or `bootstrap etcd restore` to replace it", .path.display())]
    HasData {
        /// Folder of etcd's data.
        path: PathBuf,
    },
    /// `join` without `--control-plane` on a control plane.
    #[error("this node is a control plane; pass --control-plane")]
    IsControlPlane,
    /// `join` with a token, but nothing to verify the cluster with.
    #[error("--ca-hash is required to verify the cluster; `bootstrap token create --print-join-command` prints it")]
    NoPins,
    /// `join` without a token on a machine that never joined.
    #[error(
        "a token is required (--token, or a --token-file that is not empty); `bootstrap token create --print-join-command` on a control-plane node prints the whole command"
    )]
    NoToken,
    /// A command for nodes on a machine that is none.
    #[error("this machine is not a node yet; run `bootstrap init` or `bootstrap join` first")]
    NoNode,
    /// `upgrade node` on a machine that never joined.
    #[error("this machine is not a node; run `bootstrap join` first")]
    NotJoined,
    /// `upgrade apply` on a worker.
    #[error("this is not a control plane; `bootstrap upgrade node` upgrades workers")]
    UpgradesWorker,
    /// `certs rotate-ca` on a worker.
    #[error("this is not a control plane; workers follow automatically")]
    WorkersFollow,
    /// `convert` on a worker.
    #[error("this node has no control plane")]
    NoControlPlane,
    /// `certs renew` on a node without certificates of a control plane.
    #[error("this node has no control-plane certificates; run `bootstrap init` first")]
    NoCertificates,
    /// `upgrade` of services, whose programs are replaced by the operator.
    #[error("only control planes that run as static pods can be upgraded")]
    OnlyStaticPods,
    /// Another change of this node's control plane was interrupted.
    #[error("{}", match .0 {
        Purpose::Version => "an upgrade of this node was interrupted; finish it first",
        Purpose::Settings => "`bootstrap apply` was interrupted on this node; run it again first",
    })]
    UnderWay(Purpose),
    /// Another control plane had the turn for half an hour.
    #[error("another control plane is being changed; try again when it is finished")]
    Busy,
    /// Checks failed that were reported before.
    #[error("{0} checks failed; nothing was changed")]
    Checks(usize),
    /// A signal stopped the command.
    #[error("interrupted; run the same command again to continue")]
    Interrupted,
}

impl Error {
    /// True if the command line asks for something that does not exist or lacks something: a matter of usage.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Run(RunError::NoPhase { .. }) | Self::IsControlPlane | Self::NoPins | Self::NoToken)
    }
}
