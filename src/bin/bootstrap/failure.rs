//! How a command fails, which determines the exit code.

use roost::bootstrap::commands;

/// Exit code for an invalid command line (sysexits.h, EX_USAGE).
pub const USAGE: u8 = 64;
/// Exit code for invalid settings (sysexits.h, EX_CONFIG).
pub const CONFIGURATION: u8 = 78;
/// Exit code of every other failure.
pub const FAILED: u8 = 1;

/// Why a command failed.
pub enum Failure {
    /// Faults of the settings, one line each.
    Configuration(String),
    /// A command line that asks for something that does not exist, or lacks something.
    Usage(String),
    /// A failed step, with all causes.
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// What was asked for is printed, and it is not good: a summary and the exit code.
    Reported(String, u8),
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
            Self::Configuration(text) | Self::Usage(text) | Self::Reported(text, _) => text.into(),
            Self::Failed(error) => error,
        }
    }

    /// The exit code of the program.
    pub fn code(&self) -> u8 {
        match self {
            Self::Configuration(_) => CONFIGURATION,
            Self::Usage(_) => USAGE,
            Self::Failed(_) => FAILED,
            Self::Reported(_, code) => *code,
        }
    }

    /// A result that is printed and not good.
    pub fn reported(summary: impl Into<String>) -> Self {
        Self::Reported(summary.into(), FAILED)
    }
}
