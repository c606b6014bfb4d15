//! How a command fails, which determines the exit code.

use roost::bootstrap::commands;

/// Why a command failed.
pub enum Failure {
    /// Faults of the settings, one line each.
    Configuration(String),
    /// A command line that asks for something that does not exist, or lacks something.
    Usage(String),
    /// A failed step, with all causes.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        match error.downcast_ref::<commands::Error>() {
            Some(refused) if refused.is_usage() => Self::Usage(refused.to_string()),
            Some(_) | None => Self::Failed(error),
        }
    }
}

impl Failure {
    /// The failure as an error with its causes.
    pub fn into_error(self) -> Box<dyn std::error::Error + Send + Sync> {
        match self {
            Self::Configuration(text) | Self::Usage(text) => text.into(),
            Self::Failed(error) => error,
        }
    }
}
