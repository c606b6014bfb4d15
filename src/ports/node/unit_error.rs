//! Why a call to systemd failed.

/// Why a unit could not be changed or queried.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// systemd cannot be reached over D-Bus.
    #[error("systemd does not answer on the system bus: {message}")]
    Unavailable {
        /// Message of the bus.
        message: String,
    },
    /// systemd rejected the request.
    #[error("unit {unit}: {message}")]
    Refused {
        /// Name of the unit.
        unit: String,
        /// The message that systemd returned.
        message: String,
    },
    /// The job finished with a result other than `done`.
    #[error("unit {unit}: the {verb} job finished with result `{result}`; see `journalctl -u {unit}`")]
    JobFailed {
        /// Name of the unit.
        unit: String,
        /// The operation: start, stop, restart or reload.
        verb: &'static str,
        /// systemd's result: failed, timeout, dependency, …
        result: String,
    },
}
