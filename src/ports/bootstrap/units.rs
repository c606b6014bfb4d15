//! systemd units.

use std::time::SystemTime;

use async_trait::async_trait;

use crate::ports::node::UnitError;

/// What a unit is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// `active`, `inactive`, `activating`, `failed`, …
    pub active: String,
    /// `running`, `exited`, `dead`, …
    pub sub: String,
    /// `enabled`, `disabled`, `static`, … ; empty when there is no unit file.
    pub file: String,
    /// When it last became active; `None` if it never did.
    pub active_since: Option<SystemTime>,
    /// When its main process was last started; `None` if it never was, and for units without processes.
    pub begun_at: Option<SystemTime>,
    /// How often systemd started it again by itself.
    pub restarts: u32,
    /// Whether the file on disk is newer than what systemd has loaded.
    pub needs_reload: bool,
}

impl UnitState {
    /// Whether the unit runs.
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }

    /// Whether it runs or is about to.
    pub fn is_on_its_way(&self) -> bool {
        matches!(self.active.as_str(), "active" | "activating" | "reloading")
    }

    /// Whether nothing of it runs, and nothing is about to.
    pub fn is_at_rest(&self) -> bool {
        !self.is_on_its_way() && self.active != "deactivating"
    }

    /// Whether it starts at boot.
    pub fn is_enabled(&self) -> bool {
        self.file == "enabled"
    }
}

/// The service manager. A change returns when its job has finished.
#[async_trait]
pub trait Units: Send + Sync {
    /// State of a unit; one that does not exist has `load` = `not-found`.
    async fn state(&self, unit: &str) -> Result<UnitState, UnitError>;
    /// Starts a unit.
    async fn start(&self, unit: &str) -> Result<(), UnitError>;
    /// Asks for a start without waiting for the job: for units whose readiness depends on later steps.
    async fn start_no_wait(&self, unit: &str) -> Result<(), UnitError>;
    /// Stops a unit; one that does not run is success.
    async fn stop(&self, unit: &str) -> Result<(), UnitError>;
    /// Restarts a unit, or starts it.
    async fn restart(&self, unit: &str) -> Result<(), UnitError>;
    /// Asks for a restart, or a start, without waiting for the job.
    async fn restart_no_wait(&self, unit: &str) -> Result<(), UnitError>;
    /// Enables unit files, so that they start at boot.
    async fn enable(&self, unit: &str) -> Result<(), UnitError>;
    /// Disables unit files.
    async fn disable(&self, unit: &str) -> Result<(), UnitError>;
    /// Makes systemd read unit files again.
    async fn reload(&self) -> Result<(), UnitError>;
}
