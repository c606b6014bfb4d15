//! Snapshots: take, verify, and remove older ones.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::client::{client, single};
use super::error::Error;
use crate::bootstrap::cluster_identity::{identify, read_origins};
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::snapshots::{file_name, origins_file, outdated};
use crate::core::model::spec::{Endpoint, Spec};
use crate::ports::bootstrap::EtcdFiles;

/// A verified snapshot on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenSnapshot {
    /// Path of the file, mode 0600.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Older snapshots that were removed.
    pub removed: Vec<PathBuf>,
}

/// The plan of `take`, one line per step; fails if no member answers.
pub async fn foresee_take(
    ports: &Ports,
    spec: &Spec,
    path: Option<&Path>,
    folder: &Path,
    keep: usize,
) -> Result<Vec<String>, Error> {
    client(ports, spec).await?.list().await?;
    let target = path.map_or_else(|| folder.join(file_name(&spec.node.name, (ports.now)())), Path::to_owned);
    let mut lines = vec![format!("write a snapshot to {} and verify it", target.display())];
    if path.is_none() && keep > 0 {
        let mut there = ports.files.list(folder)?;
        there.push(target);
        let cluster = identify(ports, spec).await?;
        let (own, _) = read_origins(ports, spec)?.split(&there, &spec.node.name, &cluster);
        let old = outdated(own, keep);
        lines.extend(old.iter().map(|old| format!("remove {}", old.display())));
    }
    Ok(lines)
}

/// Writes a snapshot to `path`, or under a generated name into `folder`, where only the newest `keep` remain (0 keeps
/// all). The file appears only when it is complete.
pub async fn take(
    ports: &Ports,
    files: &dyn EtcdFiles,
    spec: &Spec,
    path: Option<&Path>,
    folder: &Path,
    keep: usize,
) -> Result<TakenSnapshot, Error> {
    let now: Timestamp = (ports.now)();
    let target = path.map_or_else(|| folder.join(file_name(&spec.node.name, now)), Path::to_owned);
    if let Some(parent) = target.parent().filter(|parent| path.is_none() && !parent.as_os_str().is_empty()) {
        ports.files.ensure_dir(parent, 0o700)?;
    }
    let mut part = target.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    ports.files.remove(&part)?;
    // The node's own member is nearest; every other one has the same data.
    let own = match spec.cluster.external_etcd {
        None => single(ports, spec, &Endpoint::new(spec.node.address, 2379).url())?,
        Some(_) => client(ports, spec).await?,
    };
    let written = match own.snapshot(&part).await {
        Err(error) if spec.cluster.external_etcd.is_none() => {
            tracing::debug!(error = &error as &dyn std::error::Error, "the member of this node returned no snapshot");
            ports.files.remove(&part)?;
            client(ports, spec).await?.snapshot(&part).await
        }
        outcome => outcome,
    };
    let checked = match written {
        Ok(_) => files.check_snapshot(&part).map_err(Error::from),
        Err(error) => Err(error.into()),
    };
    let size = match checked {
        Ok(size) => size,
        Err(error) => {
            ports.files.remove(&part)?;
            return Err(error);
        }
    };
    files.rename(&part, &target)?;
    let mut removed = Vec::new();
    if path.is_none() {
        let cluster = identify(ports, spec).await?;
        let mut origins = read_origins(ports, spec)?;
        let there = ports.files.list(folder)?;
        // Elsewhere nothing looks for the cluster of a snapshot.
        if let Some(id) = cluster.id.as_deref().filter(|_| *folder == spec.node.paths.snapshots) {
            origins.add(&target, id, &there);
            ports.files.write(&origins_file(spec), origins.render().as_bytes(), 0o600)?;
        }
        // Snapshots of another cluster are not this one's to remove.
        let (own, _) = origins.split(&there, &spec.node.name, &cluster);
        for old in outdated(own, if keep > 0 { keep } else { usize::MAX }) {
            ports.files.remove(&old)?;
            removed.push(old);
        }
    }
    Ok(TakenSnapshot { path: target, size, removed })
}
