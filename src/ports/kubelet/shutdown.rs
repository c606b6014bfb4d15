//! The machine is going down.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Why logind cannot be asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("logind: {message}")]
pub struct ShutdownError {
    /// What it, or the bus, said.
    pub message: String,
}

/// When the last orderly shutdown began and ended; the end is absent while it is under way, and after a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownTimes {
    /// Its begin.
    pub start: Option<Timestamp>,
    /// Its end.
    pub end: Option<Timestamp>,
}

/// Keeps the times of the last shutdown over the boot that follows it.
#[async_trait]
pub trait ShutdownRecord: Send + Sync {
    /// The last ones; none where there has been no shutdown.
    async fn load(&self) -> io::Result<ShutdownTimes>;
    /// Keeps these.
    async fn store(&self, times: ShutdownTimes) -> io::Result<()>;
}

/// Holds the machine's shutdown up until it is dropped.
pub type InhibitLock = Box<dyn Send + Sync>;

/// News of the machine's shutdown. One owner, who asks in a loop.
#[async_trait]
pub trait ShutdownWatch: Send {
    /// Makes sure that a lock may hold the shutdown up for this long.
    async fn allow_delay(&mut self, delay: Duration) -> Result<(), ShutdownError>;
    /// Takes a lock.
    async fn inhibit(&mut self) -> Result<InhibitLock, ShutdownError>;
    /// The next news: true when a shutdown begins, false when it was cancelled. Safe to drop.
    async fn next(&mut self) -> Result<bool, ShutdownError>;
}
