//! systemd units, as the bootstrapper manages them.

use std::time::SystemTime;

use async_trait::async_trait;

use crate::ports::node::UnitError;

/// State of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    /// Load state: `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// Active state: `active`, `inactive`, `activating`, `failed`, …
    pub active: String,
    /// Sub-state: `running`, `exited`, `dead`, …
    pub sub: String,
    /// File state: `enabled`, `disabled`, `static`, … ; empty if there is no unit file.
    pub file: String,
    /// When it last became active; `None` if it never did.
    pub active_since: Option<SystemTime>,
    /// When its main process was last started; `None` if it never was, and for units without processes.
    pub begun_at: Option<SystemTime>,
    /// Number of automatic restarts by systemd.
    pub restarts: u32,
    /// True if the file on disk is newer than what systemd has loaded.
    pub needs_reload: bool,
}

impl UnitState {
    /// True if the unit is active.
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }

    /// True if the unit is active or activating.
    pub fn is_on_its_way(&self) -> bool {
        matches!(self.active.as_str(), "active" | "activating" | "reloading")
    }

    /// True if the unit is inactive or failed, and not activating.
    pub fn is_at_rest(&self) -> bool {
        !self.is_on_its_way() && self.active != "deactivating"
    }

    /// True if the unit is started at boot.
    pub fn is_enabled(&self) -> bool {
        self.file == "enabled"
    }
}

/// The service manager. A change returns when its job has finished.
#[async_trait]
pub trait Units: Send + Sync {
    /// State of a unit; for a missing one `load` is `not-found`.
    async fn state(&self, unit: &str) -> Result<UnitState, UnitError>;
    /// Starts a unit and waits for the job.
    async fn start(&self, unit: &str) -> Result<(), UnitError>;
    /// Requests a start without waiting for the job: for units whose readiness depends on later steps.
    async fn start_no_wait(&self, unit: &str) -> Result<(), UnitError>;
    /// Stops a unit; "not running" is success.
    async fn stop(&self, unit: &str) -> Result<(), UnitError>;
    /// Restarts a unit; starts it if it is not running.
    async fn restart(&self, unit: &str) -> Result<(), UnitError>;
    /// Requests a restart or start without waiting for the job.
    async fn restart_no_wait(&self, unit: &str) -> Result<(), UnitError>;
    /// Enables unit files, so that they start at boot.
    async fn enable(&self, unit: &str) -> Result<(), UnitError>;
    /// Disables unit files, so that they do not start at boot.
    async fn disable(&self, unit: &str) -> Result<(), UnitError>;
    /// Makes systemd reload unit files.
    async fn reload(&self) -> Result<(), UnitError>;
}
