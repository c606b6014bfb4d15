//! TokenReview and SubjectAccessReview, for the kubelet's server.

use async_trait::async_trait;

use crate::core::model::access::{AccessQuestion, UserInfo};

/// A review failed; the request gets an error, and is never allowed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{review}: {message}")]
pub struct ReviewError {
    /// Kind of the review, e.g. `TokenReview`.
    pub review: &'static str,
    /// Message of the server or the transport.
    pub message: String,
}

/// Reviews by the API server. Not cached: the kubelet's server does that.
#[async_trait]
pub trait Reviews: Send + Sync {
    /// The user of a bearer token; `None` if the token is invalid.
    async fn token(&self, token: &str) -> Result<Option<UserInfo>, ReviewError>;
    /// True if the user has this access.
    async fn access(&self, user: &UserInfo, question: &AccessQuestion) -> Result<bool, ReviewError>;
}
