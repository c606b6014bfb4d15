//! Why a step failed.

use super::api::ConnectError;
use super::etcd::client::ClientError;
use super::pods::PodsError;
use crate::core::model::pki::Unfit;
use crate::ports::bootstrap::{
    ClusterObjectsError, FileError, HandoverError, ImageStoreError, MembersError, PodNetworkError,
};
use crate::ports::node::{PkiError, RuntimeError, UnitError};

/// Something that was waited for did not become true in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out after {seconds} s waiting until {condition}; {hint}")]
pub struct TimedOut {
    /// The condition, as a sentence without a full stop.
    pub condition: String,
    /// Seconds that were waited.
    pub seconds: u64,
    /// Where to look for the cause.
    pub hint: String,
}

/// Why a step could not be looked at or applied.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The runtime, about its pods.
    #[error(transparent)]
    Pods(#[from] PodsError),
    #[error(transparent)]
    Network(#[from] PodNetworkError),
    /// A systemd call failed.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// `node.units` is `declared`, but the system does not declare the unit.
    #[error(
        "cannot {step}: it is {load}, {file:?}; declare it in the system's configuration (services.roost on NixOS), or set node.units to \"written\""
    )]
    NotDeclared {
        /// The step that needs the unit.
        step: String,
        load: String,
        file: String,
    },
    /// The image store of the runtime failed.
    #[error(transparent)]
    Image(#[from] ImageStoreError),
    /// An image could not be pulled.
    #[error(
        "pull image {image}; without a network set `source = \"archive\"` in [components], or \"host\" and name its program in [components.binaries]"
    )]
    Pull {
        /// Reference of the image.
        image: String,
        #[source]
        source: RuntimeError,
    },
    /// None of the image archives contains the image.
    #[error("no archive holds image {image}; looked in {looked}")]
    NotInArchives {
        /// Reference of the image.
        image: String,
        /// The archives that were searched.
        looked: String,
    },
    /// A request to the API failed.
    #[error(transparent)]
    Object(#[from] ClusterObjectsError),
    /// The kubelet's certificate request was denied.
    #[error("the cluster denied node {node} a certificate: {message}")]
    NotLetIn {
        /// Name of the node.
        node: String,
        /// The message of the denial.
        message: String,
    },
    /// A certificate or key could not be used or made.
    #[error("{path}")]
    Pki {
        /// Path of the certificate or key.
        path: std::path::PathBuf,
        /// The error of the crypto library.
        #[source]
        source: PkiError,
    },
    /// A CA that exists but cannot be used. It is never replaced, because all trust in the cluster would be lost.
    #[error(
        "{path} cannot be used: {why}; replace it with a valid one, or remove it and everything it signed to get a new one"
    )]
    Authority {
        /// Path of the CA certificate.
        path: std::path::PathBuf,
        /// Why it cannot be used.
        why: Unfit,
    },
    /// The certificate has to be signed on another machine, which has the signer's key.
    #[error(
        "{path} must be signed by {signer}, whose key is not on this node: copy the signed certificate to this node"
    )]
    ExternalSigner {
        /// Path of the missing certificate.
        path: std::path::PathBuf,
        /// Path of the signer's certificate.
        signer: std::path::PathBuf,
    },
    /// Certificates that another machine signs are missing or do not match.
    #[error("the key of {signer} is not on this node: copy the following files, signed by it, to this node\n  {}", .faults.join("\n  "))]
    NotBrought {
        /// Path of the signer's certificate.
        signer: std::path::PathBuf,
        /// One line each: file, content and fault.
        faults: Vec<String>,
    },
    /// No connection to the cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A condition did not become true in time.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// Keys of the cluster.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The answer to the request for the shared keys lacks a file.
    #[error("the answer of the control plane lacks {0}")]
    NotHandedOver(String),
    /// No connection to etcd.
    #[error(transparent)]
    Etcd(#[from] ClientError),
    /// A member of etcd did not answer, or refused.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// The node is not a member of etcd.
    #[error("etcd has no member {name}; `bootstrap etcd members` shows them")]
    NotMember {
        /// Name of the node.
        name: String,
    },
    /// A file that is not a kubeconfig.
    #[error("{path} is not a kubeconfig with a context, a cluster and a user")]
    NoKubeconfig { path: std::path::PathBuf },
    /// What a file is to be made of does not exist.
    #[error("{path} cannot be written: a file that it is assembled from does not exist")]
    NoParts { path: std::path::PathBuf },
    /// The received CAs are not the ones that were requested.
    #[error("the CAs that were received are not the ones that the other control planes trust")]
    OtherAuthorities,
    /// The user of a service does not exist.
    #[error("this machine has no user {user}; roost-users.service creates it (see journalctl -u roost-users)")]
    NoUser {
        /// Name of the user.
        user: String,
    },
    /// Another member has this node's name.
    #[error(
        "etcd already has a member {name} at {urls}: either the address of this node has changed or another node has the same name; remove that member first (`bootstrap etcd members` shows it)"
    )]
    MemberTaken {
        /// Name of the member.
        name: String,
        urls: String,
    },
}
