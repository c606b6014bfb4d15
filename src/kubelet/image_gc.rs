//! Removes images when their file system fills up, or after they were unused for too long.
//!
//! It runs every five minutes: image and container lists and one `statvfs`. Eviction can remove all unused images
//! immediately.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::images::Images;
use crate::core::gc::{ImageAges, ImageLimits, Removal};
use crate::core::images::parse_name;
use crate::core::model::kubelet_spec::ImageSettings;
use crate::core::model::with_causes;
use crate::cri;
use crate::ports::kubelet::{EventKind, EventTarget, Events, Pods, Usage, UsageDepth};
use crate::ports::node::{ImageService, RuntimeError, RuntimeQueries};
use crate::telemetry::Metrics;

const INTERVAL: Duration = Duration::from_secs(300);

/// Why images were not collected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lists of images and containers cannot be read.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The file system of the images was not measured yet, or cannot be.
    #[error("no statistics of the image file system")]
    NoStatistics,
    /// A file system that reports no size.
    #[error("invalid capacity 0 on image filesystem")]
    NoCapacity,
    /// The unused images are smaller than the amount to free.
    #[error(
        "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {found} bytes eligible to free."
    )]
    TooFew {
        wanted: u64,
        /// Bytes of unused images.
        found: u64,
    },
}

/// The ports that image garbage collection uses.
#[derive(Clone)]
pub struct ImageGcPorts {
    /// Lists and removes images.
    pub images: Arc<dyn ImageService>,
    /// Lists containers, whose images are in use.
    pub runtime: Arc<dyn RuntimeQueries>,
    /// Pods with image volumes, whose images are in use.
    pub pods: Arc<dyn Pods>,
    /// Usage of the image file system.
    pub usage: Arc<dyn Usage>,
    pub events: Arc<dyn Events>,
    /// Pull records; those of removed images are removed too.
    pub records: Arc<Images>,
    /// Counts removals by their reason.
    pub metrics: Arc<Metrics>,
    /// The wall clock, for the age of images.
    pub wall: fn() -> Timestamp,
}

pub struct ImageGc {
    ports: ImageGcPorts,
    limits: ImageLimits,
    ages: Mutex<ImageAges>,
}

impl ImageGc {
    /// A collector without any recorded image.
    pub fn new(ports: ImageGcPorts, settings: &ImageSettings) -> Self {
        let signed = |d: Duration| SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX);
        let limits = ImageLimits {
            high: settings.gc_high,
            low: settings.gc_low,
            minimum_age: signed(settings.minimum_age),
            maximum_age: signed(settings.maximum_age),
        };
        Self { ports, limits, ages: Mutex::default() }
    }

    /// Collects until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let mut failures: u32 = 0;
        while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
            match self.collect().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(error = with_causes(&error), failures, "image garbage collection failed");
                    // The first failure may only mean that nothing has been measured yet.
                    if failures > 1 {
                        self.ports.events.record(
                            EventTarget::Node,
                            EventKind::Warning,
                            "ImageGCFailed",
                            error.to_string(),
                        );
                    }
                }
            }
        }
    }

    /// Removes every unused image; returns the number of freed bytes.
    ///
    /// # Errors
    /// The lists cannot be read.
    pub async fn free_all(&self) -> Result<u64, Error> {
        let now = self.observe().await?;
        let removal = self.ages.lock().unwrap_or_else(PoisonError::into_inner).plan_all(now);
        self.remove(&removal).await;
        Ok(removal.found)
    }

    async fn collect(&self) -> Result<(), Error> {
        let now = self.observe().await?;
        let usage = self.ports.usage.node(UsageDepth::Full).await;
        let fs = usage.runtime.as_ref().and_then(|r| r.image_fs.as_ref()).ok_or(Error::NoStatistics)?;
        let (capacity, available) = (fs.capacity_bytes.unwrap_or(0), fs.available_bytes.unwrap_or(0));
        if capacity == 0 {
            return Err(self.report("InvalidDiskCapacity", Error::NoCapacity));
        }
        let removal =
            self.ages.lock().unwrap_or_else(PoisonError::into_inner).plan(capacity, available, self.limits, now);
        self.remove(&removal).await;
        if removal.found < removal.wanted {
            let error = Error::TooFew { wanted: removal.wanted, found: removal.found };
            return Err(self.report("FreeDiskSpaceFailed", error));
        }
        Ok(())
    }

    /// Returns the error, after it was reported as an event of the node.
    fn report(&self, reason: &'static str, error: Error) -> Error {
        self.ports.events.record(EventTarget::Node, EventKind::Warning, reason, error.to_string());
        error
    }

    /// Records the present and used images; returns the time of the observation.
    async fn observe(&self) -> Result<Timestamp, Error> {
        let now = (self.ports.wall)();
        let (images, containers) =
            tokio::join!(self.ports.images.list_images(), self.ports.runtime.list_containers(None));
        let (images, containers) = (images?, containers?);
        let in_use = self.in_use(&images, &containers);
        self.ages.lock().unwrap_or_else(PoisonError::into_inner).observe(&images, &in_use, now);
        self.ports.records.prune_records(&images, now).await;
        Ok(now)
    }

    fn in_use(&self, images: &[cri::Image], containers: &[cri::Container]) -> BTreeSet<String> {
        let by_container = containers.iter().flat_map(|c| {
            let spec = c.image.as_ref().map(|i| i.image.clone());
            [Some(c.image_ref.clone()), Some(c.image_id.clone()), spec]
        });
        let views = self.ports.pods.list();
        let by_volume = views.iter().flat_map(|view| view.pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()));
        let by_volume = by_volume.filter_map(|v| v.image.as_ref()?.reference.as_deref()).map(full_name);
        let names: BTreeSet<String> = by_container.flatten().chain(by_volume).filter(|name| !name.is_empty()).collect();
        let used = |image: &&cri::Image| {
            names.contains(&image.id)
                || image.repo_tags.iter().chain(&image.repo_digests).any(|name| names.contains(name))
        };
        images.iter().filter(used).map(|image| image.id.clone()).collect()
    }

    async fn remove(&self, removal: &Removal) {
        for id in &removal.ids {
            let spec = cri::ImageSpec { image: id.clone(), ..cri::ImageSpec::default() };
            match self.ports.images.remove_image(&spec).await {
                Ok(()) => {
                    tracing::info!(image = id, "removed an unused image");
                    let reason = if removal.aged.contains(id) { "age" } else { "space" };
                    self.ports.metrics.images_collected.with([reason]).inc();
                }
                Err(error) => {
                    tracing::warn!(image = id, error = with_causes(&error), "an unused image could not be removed")
                }
            }
        }
    }
}

/// A reference in the runtime's canonical form.
fn full_name(image: &str) -> String {
    match parse_name(image) {
        Ok(name) => match (name.digest, name.tag) {
            (Some(digest), _) => format!("{}@{digest}", name.repository),
            (None, tag) => format!("{}:{}", name.repository, tag.as_deref().unwrap_or("latest")),
        },
        Err(_) => image.to_owned(),
    }
}
