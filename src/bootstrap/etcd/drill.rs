//! The restore drill: proves, while the cluster is healthy, that the newest snapshot can be restored.

use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::client::single;
use super::error::Error;
use super::needs::{must_be_ours, needs_kubelet};
use super::pods::{Labels, PAUSE, WORK_PATIENCE, exited, in_kube_system, timed_out, until_gone};
use crate::bootstrap::cluster_identity::{identify, read_origins};
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::drill::{DrillContents, DrillResult, known_key, result_file};
use crate::core::bootstrap::restore_pod;
use crate::core::bootstrap::snapshots::ClusterIdentity;
use crate::core::model::spec::Spec;
use crate::core::model::with_causes;
use crate::ports::bootstrap::{EtcdFiles, FileError, Progress};

const MANIFEST: &str = "etcd-drill.yaml";
const COMPONENT: &str = "etcd-drill";

/// Restores a snapshot (without an argument this node's newest) into a separate etcd, which listens on this loopback
/// port, reads every key, and removes that etcd. Faults of the snapshot are in the result, which is kept for `bootstrap
/// status`.
///
/// # Errors
/// The drill itself failed, which says nothing about the snapshot.
pub async fn drill(
    ports: &Ports,
    files: &dyn EtcdFiles,
    spec: &Spec,
    snapshot: Option<&Path>,
    port: u16,
    progress: &dyn Progress,
) -> Result<DrillResult, Error> {
    must_be_ours(spec)?;
    let folder = &spec.node.paths.snapshots;
    let cluster = identify(ports, spec).await?;
    let newest = chosen(ports, spec, snapshot, &cluster)?;
    let found = match &newest {
        None => Err(Verdict::Unfit(format!("this node has no snapshot in {} of this cluster", folder.display()))),
        Some(snapshot) => try_out(ports, files, spec, snapshot, port, progress).await,
    };
    let (contents, fault) = match found {
        Ok(contents) => (Some(contents), None),
        Err(Verdict::Unfit(fault)) => (None, Some(fault)),
        Err(Verdict::Undecided(error)) => return Err(error),
    };
    let result = DrillResult { at: (ports.now)(), cluster: cluster.id, snapshot: newest, contents, fault };
    let text = serde_json::to_string_pretty(&result).unwrap_or_default();
    ports.files.ensure_dir(folder, 0o700)?;
    ports.files.write(&result_file(spec), text.as_bytes(), 0o600)?;
    Ok(result)
}

/// The snapshot of the argument, or else the newest one of this cluster.
fn chosen(
    ports: &Ports,
    spec: &Spec,
    snapshot: Option<&Path>,
    cluster: &ClusterIdentity,
) -> Result<Option<PathBuf>, FileError> {
    if let Some(snapshot) = snapshot {
        return Ok(Some(snapshot.to_owned()));
    }
    let there = ports.files.list(&spec.node.paths.snapshots)?;
    let (mut own, _) = read_origins(ports, spec)?.split(&there, &spec.node.name, cluster);
    Ok(own.pop())
}

/// The plan of `drill`, one line per step.
pub async fn foresee_drill(ports: &Ports, spec: &Spec, snapshot: Option<&Path>) -> Result<Vec<String>, Error> {
    must_be_ours(spec)?;
    needs_kubelet(ports).await?;
    let cluster = identify(ports, spec).await?;
    let first = match chosen(ports, spec, snapshot, &cluster)? {
        Some(snapshot) => {
            format!("restore {} into a separate etcd, read every key, and remove that etcd", snapshot.display())
        }
        None => format!("report that {} has no snapshot of this node", spec.node.paths.snapshots.display()),
    };
    Ok(vec![first, format!("write the result to {}", result_file(spec).display())])
}

/// The result of the last drill on this node, if it was for this cluster.
pub fn last_drill(ports: &Ports, spec: &Spec, cluster: &ClusterIdentity) -> Result<Option<DrillResult>, FileError> {
    let text = ports.files.read(&result_file(spec))?;
    let result: Option<DrillResult> = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(result.filter(|result| cluster.has(result.cluster.as_deref(), result.at)))
}

/// Why a snapshot was not confirmed.
enum Verdict {
    /// The snapshot cannot be restored.
    Unfit(String),
    /// The drill failed for another reason.
    Undecided(Error),
}

impl<E: Into<Error>> From<E> for Verdict {
    fn from(error: E) -> Self {
        Self::Undecided(error.into())
    }
}

async fn try_out(
    ports: &Ports,
    files: &dyn EtcdFiles,
    spec: &Spec,
    snapshot: &Path,
    port: u16,
    progress: &dyn Progress,
) -> Result<DrillContents, Verdict> {
    let size = files.check_snapshot(snapshot).map_err(|error| Verdict::Unfit(with_causes(&error)))?;
    needs_kubelet(ports).await?;
    let manifest = spec.node.paths.manifests().join(MANIFEST);
    // Remove the pod of an interrupted drill.
    end_pod(ports, &manifest).await?;
    progress.step_says(&format!("restoring {} into a separate etcd", snapshot.display()));
    let stamp = (ports.now)().strftime("%Y%m%dt%H%M%Sz").to_string();
    let name = format!("{COMPONENT}-{stamp}");
    let pod = restore_pod::render_drill(spec, &name, snapshot, port)?;
    ports.files.write(&manifest, pod.as_bytes(), 0o600)?;
    let outcome = look(ports, spec, &format!("{name}-{}", spec.node.name), port, size).await;
    end_pod(ports, &manifest).await?;
    outcome
}

/// Waits until the drill's etcd answers, then reads every key.
async fn look(ports: &Ports, spec: &Spec, pod: &str, port: u16, size: u64) -> Result<DrillContents, Verdict> {
    let begun = Instant::now();
    let etcd = single(ports, spec, &format!("https://127.0.0.1:{port}"))?;
    loop {
        if etcd.health().await.is_ok_and(|health| health.leader != 0) {
            break;
        }
        if let Some(ended) = exited(ports, pod).await?.iter().find(|end| end.container != "restore" || end.code != 0) {
            let log = ports.files.read(Path::new(&ended.log)).ok().flatten().unwrap_or_default();
            let words = log.lines().last().unwrap_or_default();
            return Err(Verdict::Unfit(format!("{} exited with code {}: {words}", ended.container, ended.code)));
        }
        if begun.elapsed() >= WORK_PATIENCE {
            return Err(timed_out("etcd answers with the data of the snapshot", begun).into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let known = known_key(spec);
    let holdings = etcd.holdings(&known).await.map_err(|error| Verdict::Unfit(with_causes(&error)))?;
    if !holdings.known {
        return Err(Verdict::Unfit(format!("it has {} keys, but not the key {known}", holdings.keys)));
    }
    let (revision, keys, hash) = (holdings.revision, holdings.keys, holdings.hash);
    Ok(DrillContents { size, revision, keys, hash, millis })
}

/// Removes the drill's pod, and returns when it is gone.
async fn end_pod(ports: &Ports, manifest: &Path) -> Result<(), Error> {
    ports.files.remove(manifest)?;
    let of_drill = |labels: &Labels| {
        in_kube_system(labels) && labels.get("component").is_some_and(|component| component == COMPONENT)
    };
    until_gone(ports, "the pod of the drill has terminated", of_drill).await
}
