//! Files and folders.

use std::path::{Path, PathBuf};

use super::owners;
use crate::bootstrap::error::StepError;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::read_text::read_text;
use crate::core::bootstrap::rotation;
use crate::core::bootstrap::step::FileStep;
use crate::ports::bootstrap::FileError;

/// True if the file or folder is as wanted.
pub fn is_met(ports: &Ports, step: &FileStep) -> Result<bool, StepError> {
    Ok(match step {
        FileStep::EnsureDir { path, mode } => {
            ports.files.info(path)?.is_some_and(|info| info.is_dir && info.mode == *mode)
        }
        FileStep::Write { path, mode, content } => has_content(ports, path, content.as_bytes(), Some(*mode))?,
        FileStep::Join { path, parts, mode } => is_joined(ports, path, parts, *mode)?,
        FileStep::Remove { path } => ports.files.info(path)?.is_none(),
        FileStep::EmptyDir { path } => ports.files.list(path)?.is_empty(),
        FileStep::OwnTree { path, user } => owners::is_owned(ports, path, user)?,
    })
}

/// Makes the file or folder as wanted.
pub fn apply(ports: &Ports, step: &FileStep) -> Result<(), StepError> {
    match step {
        FileStep::EnsureDir { path, mode } => ports.files.ensure_dir(path, *mode)?,
        FileStep::Write { path, mode, content } => ports.files.write(path, content.as_bytes(), *mode)?,
        FileStep::Join { path, parts, mode } => {
            let text = joined(ports, parts)?.ok_or_else(|| StepError::NoParts { path: path.clone() })?;
            ports.files.write(path, text.as_bytes(), *mode)?;
        }
        FileStep::Remove { path } => ports.files.remove(path)?,
        FileStep::EmptyDir { path } => ports.files.empty_dir(path)?,
        FileStep::OwnTree { path, user } => owners::own(ports, path, user)?,
    }
    Ok(())
}

/// True if the file has this content, and this mode where one is given.
pub fn has_content(ports: &Ports, path: &Path, content: &[u8], mode: Option<u32>) -> Result<bool, FileError> {
    let same_mode = ports.files.info(path)?.is_some_and(|info| mode.is_none_or(|mode| info.mode == mode));
    Ok(same_mode && read_text(ports.files.as_ref(), path)?.is_some_and(|text| text.as_bytes() == content))
}

fn is_joined(ports: &Ports, path: &Path, parts: &[PathBuf], mode: u32) -> Result<bool, FileError> {
    let (Some(wanted), Some(seen)) = (joined(ports, parts)?, read_text(ports.files.as_ref(), path)?) else {
        return Ok(false);
    };
    let same_mode = ports.files.info(path)?.is_some_and(|info| info.mode == mode);
    Ok(same_mode && rotation::join([seen.as_str()]) == wanted)
}

/// Concatenated content of several files; `None` while one of them does not exist.
fn joined(ports: &Ports, parts: &[PathBuf]) -> Result<Option<String>, FileError> {
    let mut texts = Vec::new();
    for part in parts {
        let Some(text) = read_text(ports.files.as_ref(), part)? else { return Ok(None) };
        texts.push(text);
    }
    Ok(Some(rotation::join(texts.iter().map(String::as_str))))
}
