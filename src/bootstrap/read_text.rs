//! Text files whose content may be damaged.

use std::io::ErrorKind;
use std::path::Path;

use crate::ports::bootstrap::{FileError, NodeFiles};

/// The text of a file; `None` if it does not exist. A file without any text, as after a disk fault, exists but fits
/// nothing: it is read as empty.
pub fn read_text(files: &dyn NodeFiles, path: &Path) -> Result<Option<String>, FileError> {
    match files.read(path) {
        Err(error) if error.source.kind() == ErrorKind::InvalidData => Ok(Some(String::new())),
        read => read,
    }
}
