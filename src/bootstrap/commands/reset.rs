//! `bootstrap reset`: leaves the machine as it was before `init` or `join`.

use std::path::{Path, PathBuf};

use super::error::Error;
use crate::bootstrap::kept;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::run::{RunOptions, run};
use crate::core::bootstrap::leftovers::{self, Leftover, MachineFiles, operators_files};
use crate::core::bootstrap::units::DECLARED_SETTINGS;
use crate::core::bootstrap::workflow::RESET;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{FileError, Progress};

/// Resets the machine; after a whole run it also remembers nothing of earlier commands. Returns how many steps were
/// changed (or, in a dry run, would be).
pub async fn reset(ports: &Ports, spec: &Spec, options: &RunOptions, progress: &dyn Progress) -> Result<usize, Error> {
    let changed = run(RESET, spec, ports, options, &|facts| facts, progress).await?;
    if !options.dry_run && options.only.is_none() {
        kept::forget_all(ports.files.as_ref())?;
    }
    Ok(changed)
}

/// What a reset leaves on this machine on purpose.
///
/// # Errors
/// A folder cannot be read.
pub fn observe_left(ports: &Ports, spec: &Spec) -> Result<Vec<Leftover>, FileError> {
    let files = ports.files.as_ref();
    let existing = |paths: Vec<PathBuf>| -> Result<Vec<PathBuf>, FileError> {
        let mut found = Vec::new();
        for path in paths {
            if files.info(&path)?.is_some() {
                found.push(path);
            }
        }
        Ok(found)
    };
    let audit = spec.cluster.audit().map(|audit| audit.log.clone());
    let seen = MachineFiles {
        snapshots: files.list(&spec.node.paths.snapshots)?,
        cni: files.list(&spec.node.paths.cni_conf)?,
        own: existing(operators_files(spec, Path::new(DECLARED_SETTINGS)))?,
        audit_log: existing(audit.into_iter().collect())?.pop(),
    };
    Ok(leftovers::derive(spec, &seen))
}
