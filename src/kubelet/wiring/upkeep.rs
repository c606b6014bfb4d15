//! Tasks that keep the node usable: eviction, image collection, credential plugins, graceful shutdown.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::error::Error;
use crate::adapters::credentials::{check_binaries, read_configuration};
use crate::adapters::cri::Cri;
use crate::adapters::fs::shutdown_record::ShutdownFile;
use crate::adapters::systemd::Logind;
use crate::core::admission::Pressure;
use crate::core::evict::parse_thresholds;
use crate::core::images::{CredentialPlugin, join_plugins, parse_plugins};
use crate::core::model::{KubeletSpec, with_causes};
use crate::core::shutdown::plan_turns;
use crate::core::yaml::parse_document;
use crate::kubelet::eviction::{self, EvictionLimits, EvictionPorts};
use crate::kubelet::image_gc::{ImageGc, ImageGcPorts};
use crate::kubelet::images::Images;
use crate::kubelet::pods::PodTable;
use crate::kubelet::shutdown::{self, ShutdownPorts};
use crate::offload::Lanes;
use crate::ports::kubelet::{Events, Usage};
use crate::supervise::restarting;
use crate::telemetry::Metrics;

/// Credential plugins of `--image-credential-provider-config`.
///
/// # Errors
/// A file cannot be read or is invalid, or a plugin does not exist: its images could not be pulled.
pub fn credential_plugins(spec: &KubeletSpec) -> Result<Vec<CredentialPlugin>, Error> {
    let Some(path) = &spec.images.credential_config else { return Ok(Vec::new()) };
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Part {
        what: "the credential provider configuration",
        source,
    };
    let mut files = Vec::new();
    for (path, bytes) in read_configuration(path).map_err(|source| failed(source.into()))? {
        let in_file = |error: &dyn std::fmt::Display| failed(format!("{}: {error}", path.display()).into());
        let document = parse_document(&bytes).map_err(|error| in_file(&error))?;
        files.push(parse_plugins(&document).map_err(|error| in_file(&error))?);
    }
    let plugins = join_plugins(files).map_err(|source| failed(source.into()))?;
    let folder = spec.images.credential_bin_dir.clone().unwrap_or_default();
    check_binaries(&folder, plugins.iter().map(|plugin| plugin.name.as_str()))
        .map_err(|source| failed(source.into()))?;
    Ok(plugins)
}

/// containerd's default directory of images and writable layers.
const CONTAINERD: &str = "/var/lib/containerd";

/// The parts that upkeep uses.
pub struct UpkeepParts<'a> {
    /// The pods to measure and evict.
    pub table: &'a PodTable,
    /// The containers, whose images are in use.
    pub runtime: &'a Arc<Cri>,
    /// The runtime's image service.
    pub images_of: &'a Arc<Cri>,
    pub events: &'a Arc<dyn Events>,
    pub images: &'a Arc<Images>,
    pub usage: Arc<dyn Usage>,
    /// Where upkeep counts what it removes.
    pub metrics: &'a Arc<Metrics>,
}

/// Starts image collection and eviction.
///
/// # Errors
/// The eviction thresholds of the configuration are invalid.
pub async fn start(
    spec: &KubeletSpec,
    parts: UpkeepParts<'_>,
    pressure: watch::Sender<Pressure>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let thresholds = parse_thresholds(&spec.eviction)
        .map_err(|faults| Error::Part { what: "eviction thresholds", source: faults.join("; ").into() })?;
    let gc_ports = ImageGcPorts {
        images: Arc::<Cri>::clone(parts.images_of),
        runtime: Arc::<Cri>::clone(parts.runtime),
        pods: Arc::clone(&parts.table.pods),
        usage: Arc::clone(&parts.usage),
        events: Arc::clone(parts.events),
        records: Arc::clone(parts.images),
        metrics: Arc::clone(parts.metrics),
        wall: Timestamp::now,
    };
    let gc = Arc::new(ImageGc::new(gc_ports, &spec.images));
    let ends = stop.clone();
    restarting("image collection", &stop, Arc::clone(&gc), move |gc| Box::pin(gc.run(ends.clone())));
    let eviction_ports = EvictionPorts {
        usage: parts.usage,
        pods: Arc::clone(&parts.table.pods),
        control: Arc::clone(&parts.table.control),
        events: Arc::clone(parts.events),
        images: gc,
        metrics: Arc::clone(parts.metrics),
        wall: Timestamp::now,
    };
    let root = spec.dirs.root.clone();
    let compare = move || on_different_file_systems(&root, Path::new(CONTAINERD));
    let dedicated_image_fs = Lanes::new("file system of").run("images", "look", compare).await.unwrap_or_default();
    let limits = EvictionLimits {
        thresholds,
        transition: spec.eviction.transition,
        max_pod_grace: spec.eviction.max_pod_grace,
        local_storage: spec.node.local_storage,
        dedicated_image_fs,
    };
    let state = (eviction_ports, limits, pressure);
    restarting("eviction", &stop.clone(), state, move |(ports, limits, pressure)| {
        Box::pin(eviction::run(ports, limits, pressure, stop.clone()))
    });
    Ok(())
}

/// Delay before reconnecting to logind, as upstream.
const RECONNECT: Duration = Duration::from_secs(1);

/// Watches for shutdowns of the machine if the settings require it. A node without logind works too.
pub fn watch_shutdown(
    spec: &KubeletSpec,
    table: &PodTable,
    events: &Arc<dyn Events>,
    metrics: Arc<Metrics>,
    shutting_down: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let turns = plan_turns(&spec.shutdown);
    if turns.is_empty() {
        return;
    }
    let ports = ShutdownPorts {
        pods: Arc::clone(&table.pods),
        control: Arc::clone(&table.control),
        events: Arc::clone(events),
        record: Arc::new(ShutdownFile::new(&spec.dirs.root)),
        metrics,
        wall: Timestamp::now,
    };
    let state = (ports, turns, shutting_down);
    restarting("machine shutdown", &stop.clone(), state, move |(ports, turns, shutting_down)| {
        let stop = stop.clone();
        Box::pin(async move {
            while !stop.is_cancelled() {
                let watched = match Logind::connect().await {
                    Ok(mut logind) => shutdown::run(ports, turns, &mut logind, shutting_down, stop.clone()).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = watched {
                    warn!(error = with_causes(&error), "shutdowns of the machine are currently not detected");
                    tokio::time::sleep(RECONNECT).await;
                }
            }
        })
    });
}

/// Assumes the same file system if unknown.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn on_different_file_systems(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.dev() != other.dev(),
        (one, other) => {
            warn!(
                one = one.is_ok(),
                other = other.is_ok(),
                "cannot determine whether images and pods are on different file systems"
            );
            false
        }
    }
}
