//! Why a request to the API server failed.

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no such object.
    #[error("{0}: not found")]
    NotFound(String),
    /// There is one of that name already.
    #[error("{0}: already exists")]
    AlreadyExists(String),
    /// It was changed meanwhile, or has another uid.
    #[error("{what}: conflict: {message}")]
    Conflict {
        /// The object of the request.
        what: String,
        /// Message of the API server.
        message: String,
    },
    /// The server refused.
    #[error("{what}: {message} (code {code})")]
    Refused {
        /// The object of the request.
        what: String,
        /// HTTP status.
        code: u16,
        /// Message of the API server.
        message: String,
    },
    /// No answer.
    #[error("{what}: API server cannot be reached: {message}")]
    Unreachable {
        /// The object of the request.
        what: String,
        /// Message of the transport.
        message: String,
    },
}

impl ApiError {
    /// The credentials were not accepted or do not allow it.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Refused { code: 401 | 403, .. })
    }
}
