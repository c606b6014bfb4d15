//! Units of static pods, and the journal that they are read in.

use std::collections::BTreeSet;
use std::io;

use async_trait::async_trait;

use crate::ports::node::UnitError;

/// The service manager, asked for what static pods need of it. No call waits for a job.
#[async_trait]
pub trait PodUnits: Send + Sync {
    /// Asks for a start; no effect on an active unit.
    async fn start(&self, unit: &str) -> Result<(), UnitError>;
    /// Asks for a stop; no effect on a unit that is not running.
    async fn stop(&self, unit: &str) -> Result<(), UnitError>;
    /// Units `static-pod@*.service` that are active or about to be.
    async fn running(&self) -> Result<BTreeSet<String>, UnitError>;
}

/// Notes of the pods that are stopped by their unit; they last over restarts of the kubelet and go with a reboot.
pub trait StopNotes: Send + Sync {
    /// All names.
    fn all(&self) -> io::Result<BTreeSet<String>>;
    /// Notes a name.
    fn note(&self, name: &str) -> io::Result<()>;
    /// Drops the note of a name, if there is one.
    fn drop_note(&self, name: &str) -> io::Result<()>;
}

/// systemd's journal.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Writes one entry: name and value of each field. Waits while the journal takes no more.
    async fn write(&self, fields: &[(&'static str, &[u8])]) -> io::Result<()>;
}
