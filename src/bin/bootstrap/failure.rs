//! How a command fails, which determines the exit code.

/// Why a command failed.
pub enum Failure {
    /// Faults of the settings, one line each.
    Configuration(String),
    Usage(String),
    /// A failed step, with all causes.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
