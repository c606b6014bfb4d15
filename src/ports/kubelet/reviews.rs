//! TokenReview and SubjectAccessReview: who asks the kubelet's server, and may they.

use async_trait::async_trait;

use crate::core::model::access::{AccessQuestion, UserInfo};

/// A review could not be made; the request is answered with an error, never let through.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{review}: {message}")]
pub struct ReviewError {
    /// Kind of the review.
    pub review: &'static str,
    /// The server's or the transport's text.
    pub message: String,
}

/// Asks the API server. Not cached: the server's authenticator and authorizer do that.
#[async_trait]
pub trait Reviews: Send + Sync {
    /// The user behind a bearer token; `None` when the token is not valid.
    async fn token(&self, token: &str) -> Result<Option<UserInfo>, ReviewError>;
    /// Whether the user may.
    async fn access(&self, user: &UserInfo, question: &AccessQuestion) -> Result<bool, ReviewError>;
}
