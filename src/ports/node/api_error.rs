//! Why a request to the API server failed.

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// The object does not exist.
    #[error("{0}: not found")]
    NotFound(String),
    /// An object of that name exists.
    #[error("{0}: already exists")]
    AlreadyExists(String),
    /// The object was changed meanwhile, or has another uid.
    #[error("{what}: conflict: {message}")]
    Conflict {
        /// Operation and object of the request, e.g. `patch status of pod ns/web`.
        what: String,
        /// Message of the API server.
        message: String,
    },
    /// The server rejected the request.
    #[error("{what}: {message} (code {code})")]
    Refused {
        /// Operation and object of the request, e.g. `patch status of pod ns/web`.
        what: String,
        /// HTTP status of the response, e.g. 403.
        code: u16,
        /// Message of the API server.
        message: String,
    },
    /// There was no response from the server.
    #[error("{what}: API server cannot be reached: {message}")]
    Unreachable {
        /// Operation and object of the request, e.g. `patch status of pod ns/web`.
        what: String,
        /// Message of the transport.
        message: String,
    },
}

impl ApiError {
    /// True if authentication or authorization failed.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Refused { code: 401 | 403, .. })
    }
}
