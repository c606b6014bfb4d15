//! The text of a unit as systemd merges it.

use std::path::Path;

use super::error::StepError;
use super::ports::Ports;

/// The text of a unit followed by its drop-ins in order; empty if there is none.
pub fn with_drop_ins(ports: &Ports, folder: &Path, unit: &str) -> Result<String, StepError> {
    let mut text = ports.files.read(&folder.join(unit))?.unwrap_or_default();
    for path in ports.files.list(&folder.join(format!("{unit}.d")))? {
        text.push_str(&ports.files.read(&path)?.unwrap_or_default());
    }
    Ok(text)
}
