//! `bootstrap reset`: leaves the machine as it was before `init` or `join`.

use super::error::Error;
use crate::bootstrap::kept;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::run::{RunOptions, run};
use crate::core::bootstrap::workflow::RESET;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::Progress;

/// Resets the machine; after a whole run it also remembers nothing of earlier commands. Returns how many steps were
/// changed (or, in a dry run, would be).
pub async fn reset(ports: &Ports, spec: &Spec, options: &RunOptions, progress: &dyn Progress) -> Result<usize, Error> {
    let changed = run(RESET, spec, ports, options, &|facts| facts, progress).await?;
    if !options.dry_run && options.only.is_none() {
        kept::forget_all(ports.files.as_ref())?;
    }
    Ok(changed)
}
