//! Approval of the serving certificates that kubelets ask for.

use async_trait::async_trait;

use crate::core::bootstrap::serving_certificate::{NodeNames, ServingRequest};

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

/// A request that nobody decided yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRequest {
    /// Name of the CertificateSigningRequest.
    pub name: String,
    /// What it asks for.
    pub request: ServingRequest,
}

/// Requests to the kubelet-serving signer.
#[async_trait]
pub trait ServingApprovals: Send {
    /// The next undecided request: first those that are there, then those to come; reconnects by itself. One request
    /// may come more than once. Safe to cancel.
    async fn next(&mut self) -> PendingRequest;
    /// The names of a registered node; none when there is no such node.
    async fn node_names(&mut self, node: &str) -> Result<Option<NodeNames>, ApprovalError>;
    /// Approves. A request that somebody decided in the meantime, or removed, is left alone.
    async fn approve(&mut self, name: &str) -> Result<(), ApprovalError>;
}
