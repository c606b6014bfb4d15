//! Handover of shared keys to a joining control plane: both sides.

use std::path::Path;

use async_trait::async_trait;

use super::ApprovalError;
use crate::core::bootstrap::key_handover::{self, Asked, PUBLIC_KEY_LENGTH, Requester, SharedFiles, Wanted};

/// Why no keys were received.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The API server was unreachable, or rejected a request.
    #[error("{what}")]
    Api {
        /// Description of the operation, e.g. `create certificate request …`.
        what: String,
        /// Error of the request.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The request was denied.
    #[error("certificate request {name} was denied: {message}")]
    Denied {
        /// Name of the request.
        name: String,
        /// The message of the denial.
        message: String,
    },
    /// The request was not answered in time.
    #[error(
        "certificate request {name} was not answered in {seconds} s: use a token from `bootstrap token create --control-plane`, or approve the request (kubectl certificate approve {name}) and join again; check that roost-agent.service is running on a control plane"
    )]
    Unanswered {
        /// Name of the request.
        name: String,
        /// How long was waited, seconds.
        seconds: u64,
    },
    /// The answer is malformed, or cannot be opened.
    #[error("the answer to certificate request {name}")]
    Answer {
        /// Name of the request.
        name: String,
        /// Error of parsing or opening it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The request could not be created.
    #[error("create a request for the cluster's keys: {0}")]
    Request(String),
}

/// The joining side: requests keys.
#[async_trait]
pub trait KeyHandover: Send + Sync {
    /// Requests files from the cluster of a kubeconfig, and waits for the answer. A request for the next CAs is sent by
    /// an administrator, who approves it at the same time.
    async fn receive(&self, kubeconfig: &Path, node: &str, wanted: &Wanted) -> Result<SharedFiles, HandoverError>;
}

/// A request for keys without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingHandover {
    /// Name of the CertificateSigningRequest.
    pub name: String,
    /// `metadata.uid` of the request.
    pub uid: String,
    /// `metadata.resourceVersion` of the request, as a precondition of answers.
    pub resource_version: String,
    /// The user who sent the request, as authenticated by the API server.
    pub requester: Requester,
    /// True if an administrator approved it.
    pub approved: bool,
    /// What is requested, and the key to seal to; an error if the request is malformed.
    pub asked: Result<Asked, key_handover::Error>,
}

/// The answering side: decides about requests.
#[async_trait]
pub trait HandoverRequests: Send {
    /// The next unanswered request: existing ones first, then new ones; reconnects by itself. A request may be returned
    /// more than once. Safe to cancel.
    async fn next(&mut self) -> PendingHandover;
    /// Marks the token of the requester as used by this request; false if it was used by another one. Of several
    /// concurrent calls, one succeeds.
    async fn use_up(&mut self, pending: &PendingHandover) -> Result<bool, ApprovalError>;
    /// Seals the files to the key and answers the request. If it was replaced or changed since it was observed, it is
    /// skipped, and will be returned again.
    async fn answer(
        &mut self,
        pending: &PendingHandover,
        key: &[u8; PUBLIC_KEY_LENGTH],
        files: &SharedFiles,
    ) -> Result<(), ApprovalError>;
    /// Denies the request, with a reason for the requester.
    async fn deny(&mut self, pending: &PendingHandover, reason: &str) -> Result<(), ApprovalError>;
}
