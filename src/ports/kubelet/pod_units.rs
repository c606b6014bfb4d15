//! Units of static pods, and the journal with their logs.

use std::collections::BTreeSet;
use std::io;

use async_trait::async_trait;

use crate::ports::node::UnitError;

/// The service manager, as static pods need it. No call waits for a job.
#[async_trait]
pub trait PodUnits: Send + Sync {
    /// Requests a start; no effect on an active unit.
    async fn start(&self, unit: &str) -> Result<(), UnitError>;
    /// Requests a stop; no effect on a unit that is not running.
    async fn stop(&self, unit: &str) -> Result<(), UnitError>;
    /// Units `static-pod@*.service` that are active or activating.
    async fn running(&self) -> Result<BTreeSet<String>, UnitError>;
}

/// Records of pods that are stopped by their unit; they survive restarts of the kubelet and are lost at reboot.
pub trait StopNotes: Send + Sync {
    /// Names of all stopped pods.
    fn all(&self) -> io::Result<BTreeSet<String>>;
    /// Records that the pod of this name is stopped.
    fn note(&self, name: &str) -> io::Result<()>;
    /// Removes the record of a name, if there is one.
    fn drop_note(&self, name: &str) -> io::Result<()>;
}

/// Writes to systemd's journal.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Writes one entry: name and value of each field. Blocks while the journal accepts no more. The journal files it
    /// under the unit of the process `sender`; under that of this process if that is `None` or has exited.
    async fn write(&self, fields: &[(&'static str, &[u8])], sender: Option<i32>) -> io::Result<()>;
}
