//! Rotates the logs of running containers: rename, let the runtime open a new file, compress and remove older ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::core::logs::{plan_rotation, rotated_name};
use crate::core::model::ContainerId;
use crate::ports::{Pods, Runtime, RuntimeError};

/// Settings, from KubeletConfiguration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationSettings {
    /// `containerLogMaxSize` in bytes; a log that reaches it is rotated.
    pub max_size: u64,
    /// `containerLogMaxFiles`, with the log itself; at least 2.
    pub max_files: u32,
    /// `containerLogMonitorInterval`.
    pub interval: Duration,
}

/// Why one log was not rotated.
#[derive(Debug, thiserror::Error)]
enum RotateError {
    #[error("{path}")]
    File { path: PathBuf, source: io::Error },
    #[error("reopen the log of container {container}")]
    Reopen { container: ContainerId, source: RuntimeError },
}

/// Looks at all logs each interval until `stop`. One `stat` per running container, no list from the runtime.
pub async fn rotate_logs(
    settings: RotationSettings,
    pods: Arc<dyn Pods>,
    runtime: Arc<dyn Runtime>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(settings.interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => rotate_all(&settings, &*pods, &*runtime).await,
        }
    }
}

async fn rotate_all(settings: &RotationSettings, pods: &dyn Pods, runtime: &dyn Runtime) {
    for pod in pods.list() {
        for container in pod.containers.iter().filter(|c| c.running && !c.log_path.is_empty()) {
            let path = Path::new(&container.log_path);
            if let Err(error) = rotate_one(settings, path, &container.id, runtime).await {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(path = %path.display(), %error, cause, "log was not rotated");
            }
        }
    }
}

async fn rotate_one(
    settings: &RotationSettings,
    path: &Path,
    container: &ContainerId,
    runtime: &dyn Runtime,
) -> Result<(), RotateError> {
    let file_error = |source| RotateError::File { path: path.to_owned(), source };
    let reopen = |source| RotateError::Reopen { container: container.clone(), source };
    match tokio::fs::metadata(path).await {
        Ok(metadata) if metadata.len() < settings.max_size => return Ok(()),
        Ok(_) => {}
        // An earlier rotation was cut short between its rename and the reopening.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return runtime.reopen_log(container).await.map_err(reopen);
        }
        Err(error) => return Err(file_error(error)),
    }
    let (old, max_files) = (path.to_owned(), settings.max_files);
    let tidied = tokio::task::spawn_blocking(move || tidy_rotated(&old, max_files)).await;
    tidied.map_err(|e| file_error(io::Error::other(e)))?.map_err(file_error)?;

    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let rotated = path.with_file_name(rotated_name(&name, Timestamp::now()));
    tokio::fs::rename(path, &rotated).await.map_err(file_error)?;
    if let Err(error) = runtime.reopen_log(container).await {
        // The runtime goes on writing to the renamed file: give it its name back, unless a new file is there already.
        if !tokio::fs::try_exists(path).await.unwrap_or(true) {
            tokio::fs::rename(&rotated, path).await.map_err(file_error)?;
        }
        return Err(reopen(error));
    }
    tracing::debug!(path = %path.display(), rotated = %rotated.display(), "rotated a log");
    Ok(())
}

/// Removes and compresses older files beside the log.
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
