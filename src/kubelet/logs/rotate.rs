//! Rotates the logs of running containers: renames the file, lets the runtime open a new one, compresses and removes
//! older ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::core::logs::{plan_rotation, rotated_name};
use crate::core::model::{ContainerId, with_causes};
use crate::offload::Lanes;
use crate::ports::kubelet::{ContainerAccess, ContainerView, Pods};
use crate::ports::node::RuntimeError;

/// Time limit of one step: compressing a large log takes long.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationSettings {
    /// `containerLogMaxSize` in bytes; a log of this size is rotated.
    pub max_size: u64,
    /// `containerLogMaxFiles`, including the log itself; at least 2.
    pub max_files: u32,
    pub interval: Duration,
    pub workers: usize,
}

/// Why one log was not rotated.
#[derive(Debug, thiserror::Error)]
enum RotateError {
    #[error("{path}")]
    File { path: PathBuf, source: io::Error },
    #[error("reopen the log of container {container}")]
    Reopen { container: ContainerId, source: RuntimeError },
}

/// Checks all logs every interval until `stop`. One `stat` per running container, no list from the runtime.
pub async fn rotate_logs(
    settings: &RotationSettings,
    pods: &dyn Pods,
    runtime: &dyn ContainerAccess,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(settings.interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // An unresponsive directory must not delay the others.
    let lanes = Lanes::with_limit("log", LIMIT);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => rotate_all(settings, pods, runtime, &lanes).await,
        }
    }
}

async fn rotate_all(settings: &RotationSettings, pods: &dyn Pods, runtime: &dyn ContainerAccess, lanes: &Lanes) {
    let pods = pods.list();
    let containers = pods.iter().flat_map(|pod| &pod.containers).filter(|c| c.running && !c.log_path.is_empty());
    let rotations: Vec<BoxFuture<'_, ()>> =
        containers.map(|container| rotate_or_warn(settings, container, runtime, lanes).boxed()).collect();
    at_most(settings.workers, rotations).await;
}

/// Runs them with limited concurrency.
async fn at_most(workers: usize, rotations: Vec<BoxFuture<'_, ()>>) {
    futures::stream::iter(rotations).buffer_unordered(workers.max(1)).for_each(|()| std::future::ready(())).await;
}

async fn rotate_or_warn(
    settings: &RotationSettings,
    container: &ContainerView,
    runtime: &dyn ContainerAccess,
    lanes: &Lanes,
) {
    let path = Path::new(&container.log_path);
    if let Err(error) = rotate_one(settings, path, &container.id, runtime, lanes).await {
        tracing::warn!(path = %path.display(), error = with_causes(&error), "log was not rotated");
    }
}

async fn rotate_one(
    settings: &RotationSettings,
    path: &Path,
    container: &ContainerId,
    runtime: &dyn ContainerAccess,
    lanes: &Lanes,
) -> Result<(), RotateError> {
    let file_error = |source| RotateError::File { path: path.to_owned(), source };
    let reopen = |source| RotateError::Reopen { container: container.clone(), source };
    let (log, subject) = (path.to_owned(), path.to_string_lossy());
    match lanes.io(subject.clone(), "look", move || look(&log)).await {
        Ok(metadata) if metadata.len() < settings.max_size => return Ok(()),
        Ok(_) => {}
        // An earlier rotation was interrupted between its rename and the reopening.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return runtime.reopen_log(container).await.map_err(reopen);
        }
        Err(error) => return Err(file_error(error)),
    }
    let (old, max_files) = (path.to_owned(), settings.max_files);
    let tidied = lanes.io(subject.clone(), "tidy", move || tidy_rotated(&old, max_files)).await;
    tidied.map_err(file_error)?;

    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let rotated = path.with_file_name(rotated_name(&name, Timestamp::now()));
    let (from, to) = (path.to_owned(), rotated.clone());
    lanes.io(subject.clone(), "rename", move || rename(&from, &to)).await.map_err(file_error)?;
    if let Err(error) = runtime.reopen_log(container).await {
        // The runtime still writes to the renamed file: rename it back, unless a new file exists.
        let (from, to) = (rotated, path.to_owned());
        lanes.io(subject, "rename back", move || rename_back(&from, &to)).await.map_err(file_error)?;
        return Err(reopen(error));
    }
    tracing::debug!(path = %path.display(), rotated = %rotated.display(), "rotated a log");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn look(path: &Path) -> io::Result<fs::Metadata> {
    fs::metadata(path)
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn rename_back(from: &Path, to: &Path) -> io::Result<()> {
    if fs::exists(to).unwrap_or(true) { Ok(()) } else { fs::rename(from, to) }
}

/// Removes and compresses older files beside the log.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn tidy_rotated(log: &Path, max_files: u32) -> io::Result<()> {
    let directory = log.parent().unwrap_or(Path::new("/"));
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    let plan = plan_rotation(&name, &names, max_files);
    for gone in plan.remove {
        fs::remove_file(directory.join(gone))?;
    }
    for name in plan.compress {
        compress(&directory.join(name))?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn compress(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let unfinished = PathBuf::from(name);
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    let compressed = PathBuf::from(name);

    let mut from = fs::File::open(path)?;
    let to = fs::OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished)?;
    to.set_permissions(from.metadata()?.permissions())?;
    let mut encoder = GzEncoder::new(to, Compression::default());
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&unfinished, &compressed)?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn as_many_logs_are_rotated_at_a_time_as_there_are_workers() {
        for workers in [0, 1, 3] {
            let begun = AtomicUsize::new(0);
            let rotation = || {
                let begun = &begun;
                let begin = async move { begun.fetch_add(1, Ordering::SeqCst) };
                begin.then(|_| std::future::pending()).boxed()
            };
            let rotations: Vec<_> = (0..10).map(|_| rotation()).collect();
            tokio::select! {
                () = at_most(workers, rotations) => panic!("none of them ends"),
                () = async { for _ in 0..10 { yield_now().await } } => {}
            }
            assert_eq!(begun.load(Ordering::SeqCst), workers.max(1));
        }
    }
}
