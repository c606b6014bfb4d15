//! Why a call to systemd failed.

/// Why a unit could not be changed or asked.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// systemd cannot be reached over D-Bus.
    #[error("systemd does not answer on the system bus: {message}")]
    Unavailable {
        /// The bus's text.
        message: String,
    },
    /// systemd refused.
    #[error("unit {unit}: {message}")]
    Refused {
        /// Unit name.
        unit: String,
        /// systemd's text.
        message: String,
    },
    /// The job finished with another result than `done`.
    #[error("unit {unit}: the {verb} job finished with result `{result}`; see `journalctl -u {unit}`")]
    JobFailed {
        /// Unit name.
        unit: String,
        /// start, stop, restart or reload.
        verb: &'static str,
        /// systemd's word: failed, timeout, dependency, …
        result: String,
    },
}
