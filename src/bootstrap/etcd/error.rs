//! Why an operation on etcd failed.

use super::client::ClientError;
use crate::bootstrap::error::{StepError, TimedOut};
use crate::bootstrap::pods::PodsError;
use crate::core::bootstrap::{PhaseError, static_pods};
use crate::ports::bootstrap::{EtcdFileError, FileError, MembersError};
use crate::ports::node::UnitError;

/// Why an operation on etcd failed, or is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// etcd is external, and its operator manages it.
    #[error(
        "etcd is external (`etcd.endpoints`); its members, restore drills and restores are managed by its operator"
    )]
    External,
    /// etcd has quorum, so `recover` is refused.
    #[error("etcd has quorum, so there is nothing to recover; remove lost members with `bootstrap etcd remove`")]
    HasQuorum,
    /// The kubelet is not running.
    #[error("kubelet.service is not running, so no pod can be started; run `systemctl start kubelet`")]
    NoKubelet,
    #[error("etcdutl exited with code {code}; its output is in /var/log/pods/kube-system_{pod}-{node}_*")]
    RestoreFailed {
        /// Exit code of etcdutl.
        code: i32,
        /// Name of the node, which is the end of the pod's name.
        node: String,
        /// Name of the pod without the node's.
        pod: String,
    },
    /// No connection to etcd.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A member did not answer, or refused.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// A snapshot, or the data of etcd on this node.
    #[error(transparent)]
    EtcdFile(#[from] EtcdFileError),
    /// A file of this node could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// systemd did not answer, or refused.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// The runtime did not list its pods.
    #[error(transparent)]
    Pods(#[from] PodsError),
    /// A manifest could not be rendered from the settings.
    #[error(transparent)]
    Manifest(#[from] static_pods::Error),
    /// The steps that start the control plane could not be planned.
    #[error(transparent)]
    Plan(#[from] PhaseError),
    #[error(transparent)]
    Step(#[from] StepError),
    /// Something did not happen in time.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
}
