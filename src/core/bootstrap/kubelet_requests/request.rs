//! A kubelet's certificate request, and why it is not approved.

use jiff::Timestamp;

/// The signer of kubelet serving certificates.
pub const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";
/// The signer of kubelets' client certificates.
pub const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// What was requested, from the API object's `spec`, which is immutable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRequest {
    /// `spec.signerName` of the request.
    pub signer: String,
    /// The requester, as authenticated by the API server.
    pub username: String,
    /// The groups of that user.
    pub groups: Vec<String>,
    /// `spec.usages`: the key usages that the certificate should have.
    pub usages: Vec<String>,
    /// The PEM text of the PKCS#10 request.
    pub pem: Vec<u8>,
}

/// The state of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decision {
    /// Neither approved nor denied yet.
    #[default]
    Undecided,
    /// Approved at that time, issued or not.
    Approved(Timestamp),
    /// Denied, or the signer failed.
    Refused,
}

/// A request with its identity: a decision applies to this uid and version, not to a later object of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedRequest {
    /// Name of the CertificateSigningRequest.
    pub name: String,
    /// `metadata.uid` of the request.
    pub uid: String,
    /// `metadata.resourceVersion`. The API server counts up, so of two unmodified objects the one with the lower
    /// version is older.
    pub resource_version: String,
    /// What is asked for.
    pub request: CertificateRequest,
    /// Its state when it was read.
    pub decision: Decision,
}

/// Why a request is not approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The requester is not a kubelet.
    #[error("user \"{0}\" is not a node")]
    NotANode(String),
    /// The requester has not registered.
    #[error("node {0} is not registered")]
    NotRegistered(String),
    /// It asks for usages that the signer does not issue.
    #[error("usages {0:?} are not those of a kubelet's certificate for this signer")]
    Usages(Vec<String>),
    /// The request cannot be read.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// The subject is not the node's.
    #[error("subject \"{found}\" is not that of {expected}")]
    Subject {
        /// The subject in the request.
        found: String,
        /// The only allowed subject.
        expected: String,
    },
    /// A client certificate request with server names.
    #[error("a client certificate has no alternative names, and this request has {0}")]
    ClientNames(String),
    /// The request has no names.
    #[error("it has neither a DNS name nor an address")]
    NoNames,
    /// A name that no node may have: a wildcard, localhost, an address as a DNS name, loopback, link-local, multicast.
    #[error("\"{0}\" is not the name or address of a single machine")]
    NotAMachine(String),
    /// A name in the domain of Services, or an address of one.
    #[error("\"{0}\" belongs to Services")]
    Service(String),
    /// An address in the pod subnet of a node (second field).
    #[error("\"{0}\" is in the pod subnet of node {1}")]
    Pod(String, String),
    /// A name or address of the API servers or of etcd.
    #[error("\"{0}\" belongs to the control plane")]
    ControlPlane(String),
    /// A name or address of another Node.
    #[error("\"{0}\" belongs to node {1}")]
    OtherNode(String, String),
    /// The Node object does not list this name or address.
    #[error("\"{0}\" does not belong to the node")]
    Foreign(String),
    /// A Node of this name exists.
    #[error(
        "node {0} already exists, and a bootstrap token cannot replace it: if that machine is gone or was reset, run `kubectl delete node {0}`, then join again"
    )]
    NodeExists(String),
    /// A request with a different key was issued a certificate for this name recently.
    #[error(
        "request {request} was already issued a certificate for node {node}, which has not registered yet: if no other machine uses that name, run `kubectl delete csr {request}`, then join again"
    )]
    Claimed {
        /// Name of the requested node.
        node: String,
        /// Name of the other CertificateSigningRequest.
        request: String,
    },
    /// An earlier request with a different key is for the same name.
    #[error("an earlier request, {request}, is for node {node} too")]
    AskedBefore {
        /// Name of the requested node.
        node: String,
        /// Name of the earlier CertificateSigningRequest.
        request: String,
    },
}

impl Refusal {
    /// True when the same request may be approved later: the Node does not exist yet or lacks its addresses or role, or
    /// a conflicting Node may still be removed.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NotRegistered(_)
            | Self::ControlPlane(_)
            | Self::OtherNode(..)
            | Self::Foreign(_)
            | Self::AskedBefore { .. } => true,
            Self::NotANode(_)
            | Self::Usages(_)
            | Self::Malformed(_)
            | Self::Subject { .. }
            | Self::ClientNames(_)
            | Self::NoNames
            | Self::NotAMachine(_)
            | Self::Service(_)
            | Self::Pod(..)
            | Self::NodeExists(_)
            | Self::Claimed { .. } => false,
        }
    }
}
