//! How a command fails, which decides the exit code.

/// Why a command failed.
pub enum Failure {
    /// Faults of the settings, a line each.
    Configuration(String),
    /// A command line that asks for what there is not.
    Usage(String),
    /// A step that failed, with all causes.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
