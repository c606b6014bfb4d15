//! The text of a unit as systemd merges it.

use std::path::Path;

use super::ports::Ports;
use crate::ports::bootstrap::FileError;

/// The text of a unit and of its drop-ins in their order; empty where there is none.
pub fn with_drop_ins(ports: &Ports, folder: &Path, unit: &str) -> Result<String, FileError> {
    let mut text = ports.files.read(&folder.join(unit))?.unwrap_or_default();
    for path in ports.files.list(&folder.join(format!("{unit}.d")))? {
        text.push_str(&ports.files.read(&path)?.unwrap_or_default());
    }
    Ok(text)
}
