//! Both sides of the handover of shared keys to a joining control plane.

use std::path::Path;

use async_trait::async_trait;

use super::ApprovalError;
use crate::core::bootstrap::key_handover::{self, Asked, PUBLIC_KEY_LENGTH, Requester, SharedFiles, Wanted};

/// Why no keys were received.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The API server could not be asked, or refused.
    #[error("{what}")]
    Api {
        /// The operation.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody denied the request.
    #[error("certificate request {name} was denied: {message}")]
    Denied {
        /// Name of the request.
        name: String,
        /// The message of the denial.
        message: String,
    },
    /// Nobody answered.
    #[error(
        "certificate request {name} was not answered in {seconds} s: use a token from `bootstrap token create --control-plane`, or approve the request (kubectl certificate approve {name}) and join again; check that roost-agent.service is running on a control plane"
    )]
    Unanswered {
        /// Name of the request.
        name: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The answer cannot be used.
    #[error("the answer to certificate request {name}")]
    Answer {
        /// Name of the request.
        name: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No request could be made.
    #[error("create a request for the cluster's keys: {0}")]
    Request(String),
}

/// The side that joins.
#[async_trait]
pub trait KeyHandover: Send + Sync {
    /// Asks the cluster of a kubeconfig for files, and waits for the answer. A request for the next CAs comes from an
    /// administrator, which approves it itself.
    async fn receive(&self, kubeconfig: &Path, node: &str, wanted: &Wanted) -> Result<SharedFiles, HandoverError>;
}

/// A request for keys that nobody answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingHandover {
    /// Name of the CertificateSigningRequest.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
    /// Who asked.
    pub requester: Requester,
    /// Somebody with that right approved it.
    pub approved: bool,
    /// What is asked for and the key to seal to, or why there is none.
    pub asked: Result<Asked, key_handover::Error>,
}

/// The side that answers.
#[async_trait]
pub trait HandoverRequests: Send {
    /// The next unanswered request: first those that are there, then those to come; reconnects by itself. One request
    /// may come more than once. Safe to cancel.
    async fn next(&mut self) -> PendingHandover;
    /// Takes the token of the request's user out of use for any other request; false where it is used up. Of several that
    /// try at the same time one succeeds.
    async fn use_up(&mut self, pending: &PendingHandover) -> Result<bool, ApprovalError>;
    /// Seals the files to the key and answers the very request that was observed. One that is another one now, or
    /// changed, is skipped: it is returned again.
    async fn answer(
        &mut self,
        pending: &PendingHandover,
        key: &[u8; PUBLIC_KEY_LENGTH],
        files: &SharedFiles,
    ) -> Result<(), ApprovalError>;
    /// Denies it, with the reason for the requester.
    async fn deny(&mut self, pending: &PendingHandover, reason: &str) -> Result<(), ApprovalError>;
}
