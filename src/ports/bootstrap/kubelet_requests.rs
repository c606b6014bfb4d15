//! Decisions about the certificates that kubelets ask for.

use async_trait::async_trait;

use crate::core::bootstrap::kubelet_requests::{ClusterNames, ObservedRequest};

/// The API server could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ApprovalError {
    /// What was tried.
    pub what: String,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What is written into a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is signed.
    Approve,
    /// Denied, with the reason for the requester.
    Deny(String),
}

/// Requests to the signers of kubelets' certificates.
#[async_trait]
pub trait KubeletRequests: Send {
    /// The next undecided request: first those that are there, then those to come; reconnects by itself. One request
    /// may come more than once. Safe to cancel.
    async fn next(&mut self) -> ObservedRequest;
    /// All requests there are, decided or not, as the API server has them now.
    async fn all(&mut self) -> Result<Vec<ObservedRequest>, ApprovalError>;
    /// Which names and addresses of the cluster are taken.
    async fn names(&mut self) -> Result<ClusterNames, ApprovalError>;
    /// Decides the very request that was observed. One that is another one now, or changed, or is gone, is
    /// skipped: it is returned again.
    async fn decide(&mut self, request: &ObservedRequest, verdict: &Verdict) -> Result<(), ApprovalError>;
}
