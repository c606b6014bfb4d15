//! Why a step failed.

use crate::core::bootstrap::{PhaseError, static_pods};
use crate::core::model::pki::Unfit;
use crate::ports::bootstrap::{
    ClusterObjectsError, EtcdFileError, FileError, HandoverError, ImageStoreError, MembersError, PodNetworkError,
};
use crate::ports::node::{PkiError, RuntimeError, UnitError};

/// Why a step could not be checked or applied.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The container runtime failed on its pods.
    #[error("list or stop the pods of the container runtime")]
    Pods(#[source] RuntimeError),
    /// The pod network's adapter failed.
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
    /// The cluster cannot be reached.
    #[error("connect to the cluster of {kubeconfig}")]
    Connect {
        /// The kubeconfig that was used.
        kubeconfig: std::path::PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A condition did not become true in time.
    #[error("timed out after {seconds} s waiting until {condition}; {hint}")]
    TimedOut {
        /// The condition, as a clause.
        condition: String,
        /// How long it waited, in seconds.
        seconds: u64,
        /// Where to look for the cause.
        hint: String,
    },
    /// The handover of shared keys failed.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The answer to the request for the shared keys lacks a file.
    #[error("the answer of the control plane lacks {0}")]
    NotHandedOver(String),
    /// A request to etcd failed.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// A snapshot, or etcd's data directory, could not be read or written.
    #[error(transparent)]
    EtcdFile(#[from] EtcdFileError),
    /// A manifest could not be rendered or read.
    #[error(transparent)]
    Manifest(#[from] static_pods::Error),
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
        /// The current form, as a value of `mode`.
        to: &'static str,
    },
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
    /// The phase has no plan.
    #[error(transparent)]
    Plan(#[from] PhaseError),
    /// The user of a service does not exist.
    #[error("this machine has no user {user}; roost-users.service creates it (see journalctl -u roost-users)")]
    NoUser {
        /// Name of the user.
        user: String,
    },
    /// etcd is external, and its operator manages it.
    #[error(
        "etcd is external (`etcd.endpoints`); its members, restore drills and restores are managed by its operator"
    )]
    NotOurEtcd,
    /// etcd has quorum, so `recover` is refused.
    #[error("etcd has quorum, so there is nothing to recover; remove lost members with `bootstrap etcd remove`")]
    QuorumIsThere,
    /// The kubelet is not running.
    #[error("kubelet.service is not running, so no pod can be started; run `systemctl start kubelet`")]
    NoKubelet,
    #[error("etcdutl exited with code {code}; its output is in /var/log/pods/kube-system_{pod}-{node}_*")]
    RestoreFailed {
        code: i32,
        node: String,
        /// Name of the pod without the node's.
        pod: String,
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
    /// No member of etcd is known.
    #[error("no etcd member is known: the API server reports none, and {manifest} names none")]
    NoMembers {
        /// etcd's manifest on this node.
        manifest: std::path::PathBuf,
    },
}
