//! `bootstrap init`: the first control plane, of a new cluster or of one whose data a snapshot holds.

use std::path::Path;
use std::time::Duration;

use super::error::Error;
use crate::bootstrap::etcd::{self, restore};
use crate::bootstrap::ports::Ports;
use crate::bootstrap::run::{RunOptions, run};
use crate::core::bootstrap::workflow::{INIT, INIT_FOR_SNAPSHOT};
use crate::core::model::StepOutcome;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{EtcdFiles, Progress};

/// Creates the first control plane; with a `snapshot` (absolute path) it begins with the data of a lost cluster. Returns
/// how many steps were changed (or, in a dry run, would be).
pub async fn init(
    ports: &Ports,
    files: &dyn EtcdFiles,
    spec: &Spec,
    snapshot: Option<&Path>,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    let restored = match snapshot {
        Some(snapshot) => restore_first(ports, files, spec, snapshot, options, progress).await?,
        None => 0,
    };
    Ok(restored.saturating_add(run(INIT, spec, ports, options, &|facts| facts, progress).await?))
}

/// Restores the data of a lost cluster, before an API server without data could have its nodes stop their pods.
async fn restore_first(
    ports: &Ports,
    files: &dyn EtcdFiles,
    spec: &Spec,
    snapshot: &Path,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    if spec.cluster.external_etcd.is_some() {
        return Err(etcd::Error::External.into());
    }
    for name in ["ca.crt", "sa.key"] {
        let path = spec.node.paths.pki(name);
        if ports.files.info(&path)?.is_none() {
            return Err(Error::NoPki { path });
        }
    }
    let data = &spec.node.paths.etcd_data;
    if ports.files.info(&data.join("member"))?.is_some() {
        return Err(Error::HasData { path: data.clone() });
    }
    files.check_snapshot(snapshot)?;
    if options.dry_run {
        let (id, line) = ("etcd-restore", format!("restore {} into {}", snapshot.display(), data.display()));
        progress.phase_begins(id, "data of the lost cluster", (1, 1));
        progress.step_ends(id, &line, StepOutcome::Planned);
        progress.phase_ends(id, 1, Duration::ZERO);
        return Ok(1);
    }
    let changed = run(INIT_FOR_SNAPSHOT, spec, ports, options, &|facts| facts, progress).await?;
    restore(ports, files, spec, snapshot, progress).await?;
    Ok(changed.saturating_add(1))
}
