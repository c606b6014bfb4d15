//! Shutdown of the machine.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Why a request to logind failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("logind: {message}")]
pub struct ShutdownError {
    /// Message of logind or the bus.
    pub message: String,
}

/// When the last orderly shutdown began and ended; the end is `None` during it, and after a power loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownTimes {
    /// When it began; `None` if there was none.
    pub start: Option<Timestamp>,
    /// When it ended; `None` if it did not.
    pub end: Option<Timestamp>,
}

/// Stores the times of the last shutdown for the next boot.
#[async_trait]
pub trait ShutdownRecord: Send + Sync {
    /// The stored times; both `None` if there was no shutdown.
    async fn load(&self) -> io::Result<ShutdownTimes>;
    /// Stores the times, replacing the previous ones.
    async fn store(&self, times: ShutdownTimes) -> io::Result<()>;
}

/// An inhibitor lock, which delays the shutdown of the machine until it is dropped.
pub type InhibitLock = Box<dyn Send + Sync>;

/// Notifications of shutdowns. It has one owner, which calls [`Self::next`] in a loop.
#[async_trait]
pub trait ShutdownWatch: Send {
    /// Ensures that a lock may delay the shutdown for this long.
    async fn allow_delay(&mut self, delay: Duration) -> Result<(), ShutdownError>;
    /// Takes an inhibitor lock of logind.
    async fn inhibit(&mut self) -> Result<InhibitLock, ShutdownError>;
    /// The next notification: true if a shutdown begins, false if it was cancelled. Safe to drop.
    async fn next(&mut self) -> Result<bool, ShutdownError>;
}
