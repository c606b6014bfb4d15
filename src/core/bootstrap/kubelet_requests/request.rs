//! A kubelet's request for a certificate, and why it is not approved.

use jiff::Timestamp;

/// The signer of kubelet serving certificates.
pub const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";
/// The signer of kubelets' client certificates.
pub const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// What was asked for, as the API shows it. All of it is immutable in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The signer that is asked.
    pub signer: String,
    /// Who made it, as the API server authenticated them.
    pub username: String,
    /// The groups of that user.
    pub groups: Vec<String>,
    /// Wanted usages.
    pub usages: Vec<String>,
    /// The PEM text of the PKCS#10 request.
    pub pem: Vec<u8>,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decision {
    /// Nobody decided.
    #[default]
    Undecided,
    /// Approved at that moment, signed or not.
    Approved(Timestamp),
    /// Denied, or the signer failed.
    Refused,
}

/// A request and where it is: a decision is for this uid and this version, not for whatever has its name later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedRequest {
    /// Name of the CertificateSigningRequest.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version. The API server counts up, so that an untouched object with a lower one is older.
    pub resource_version: String,
    /// What is asked for.
    pub request: CertificateRequest,
    /// What has become of it.
    pub decision: Decision,
}

/// Why a request is not approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was not made by a kubelet.
    #[error("user \"{0}\" is not a node")]
    NotANode(String),
    /// The requester has not registered.
    #[error("node {0} is not registered")]
    NotRegistered(String),
    /// It asks for other usages than the signer's.
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
        /// The one that is allowed.
        expected: String,
    },
    /// A client certificate names no server.
    #[error("a client certificate has no alternative names, and this request has {0}")]
    ClientNames(String),
    /// The request names nothing.
    #[error("it has neither a DNS name nor an address")]
    NoNames,
    /// A name that no node gets: a wildcard, localhost, an address in words, loopback, link-local, multicast.
    #[error("\"{0}\" is not the name or address of a single machine")]
    NotAMachine(String),
    /// A name in the domain of Services, or an address of one.
    #[error("\"{0}\" belongs to Services")]
    Service(String),
    /// A pod's address.
    #[error("\"{0}\" is in the pod subnet of node {1}")]
    Pod(String, String),
    /// A name or address of the API servers or of etcd.
    #[error("\"{0}\" belongs to the control plane")]
    ControlPlane(String),
    /// A name or address of another Node.
    #[error("\"{0}\" belongs to node {1}")]
    OtherNode(String, String),
    /// The Node does not have it.
    #[error("\"{0}\" does not belong to the node")]
    Foreign(String),
    /// The name of a Node that is there.
    #[error(
        "node {0} already exists, and a bootstrap token cannot replace it: if that machine is gone or was reset, run `kubectl delete node {0}`, then join again"
    )]
    NodeExists(String),
    /// Another key got a certificate for this name just now.
    #[error(
        "request {request} was already issued a certificate for node {node}, which has not registered yet: if no other machine uses that name, run `kubectl delete csr {request}`, then join again"
    )]
    Claimed {
        /// The name.
        node: String,
        /// The other request.
        request: String,
    },
    /// Another key asked for this name before.
    #[error("an earlier request, {request}, is for node {node} too")]
    AskedBefore {
        /// The name.
        node: String,
        /// The other request.
        request: String,
    },
}

impl Refusal {
    /// True when it may come to be approved without another request: the Node does not exist yet or does not have its
    /// addresses or its role, or another one is still to go.
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
