//! Decisions about certificate requests of kubelets.

use async_trait::async_trait;

use crate::core::bootstrap::kubelet_requests::{ClusterNames, ObservedRequest};

/// A request to the API server failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ApprovalError {
    /// Description of the operation.
    pub what: String,
    /// Error of the request.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The decision that is written into a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Approve it, so that the signer issues the certificate.
    Approve,
    /// Deny it, with a reason for the requester.
    Deny(String),
}

/// Requests for the signers of kubelets' certificates.
#[async_trait]
pub trait KubeletRequests: Send {
    /// The next undecided request: existing ones first, then new ones; reconnects by itself. A request may be returned
    /// more than once. Safe to cancel.
    async fn next(&mut self) -> ObservedRequest;
    /// All existing requests, decided or not, as the API server has them now.
    async fn all(&mut self) -> Result<Vec<ObservedRequest>, ApprovalError>;
    /// Names and addresses that are in use in the cluster.
    async fn names(&mut self) -> Result<ClusterNames, ApprovalError>;
    /// Writes the decision about the observed request. If it was replaced, changed or deleted since, it is skipped, and
    /// will be returned again if it still exists.
    async fn decide(&mut self, request: &ObservedRequest, verdict: &Verdict) -> Result<(), ApprovalError>;
}
