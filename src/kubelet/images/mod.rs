//! Images of pods: pulled by policy, with credentials, and with limited concurrency (upstream `pkg/kubelet/images`).
//!
//! There is no task here. Each pod's worker calls [`PodImages::ensure`]; pulls of the same missing image are
//! serialized, so that the second one finds the image.

mod credentials;
mod ports;
mod pull;
mod rate;
mod records;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{Mutex as TurnLock, Semaphore};

use self::credentials::Credentials;
pub use self::ports::ImagePorts;
use self::rate::PullRate;
use self::records::Records;
use crate::core::images::{CredentialPlugin, PullBackoff, PullPolicy, Verification, with_default_tag};
use crate::core::manifest::host_image::is_host_image;
use crate::core::model::kubelet_spec::ImageSettings;
use crate::core::model::time::Moment;
use crate::core::model::{PodUid, uid_of};
use crate::cri;
use crate::kubelet::pods::{ImageDemand, ImageWaiting, PodImages, PulledImage};
use crate::ports::kubelet::{EventKind, EventTarget};

/// Retry interval of failures that only time may resolve.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// Images of all pods.
pub struct Images {
    ports: ImagePorts,
    credentials: Credentials,
    records: Arc<Records>,
    backoff: Mutex<PullBackoff>,
    turns: Mutex<HashMap<String, Weak<TurnLock<()>>>>,
    slots: Option<Semaphore>,
    rate: PullRate,
}

/// One request, with the full name of its image.
struct Errand<'a> {
    pod: &'a Arc<Pod>,
    uid: PodUid,
    demand: &'a ImageDemand,
    image: String,
    sandbox: Option<&'a cri::PodSandboxConfig>,
}

impl Images {
    /// An image manager with these settings and credential plugins.
    pub fn new(ports: ImagePorts, settings: &ImageSettings, plugins: Vec<CredentialPlugin>) -> Self {
        let verification = Verification::of(&settings.verification_policy, &settings.verification_allowlist);
        let slots = settings
            .max_parallel
            .map(|most| Semaphore::new(usize::try_from(most.max(1)).unwrap_or(1).min(Semaphore::MAX_PERMITS)));
        Self {
            credentials: Credentials::new(plugins),
            records: Arc::new(Records::new(verification)),
            backoff: Mutex::default(),
            turns: Mutex::default(),
            slots,
            rate: PullRate::new(settings.pull_qps, settings.pull_burst),
            ports,
        }
    }

    /// Converts interrupted pulls of the previous process into records, so that their images are not usable by
    /// everybody.
    pub async fn recover(&self) {
        self.records.recover(&self.ports).await;
    }

    /// Removes records of images that the node no longer has.
    pub async fn prune_records(&self, present: &[cri::Image], before: Timestamp) {
        self.records.prune(&self.ports, present, before).await;
    }

    async fn ensure_demand(&self, errand: &Errand<'_>) -> Result<PulledImage, ImageWaiting> {
        let policy = PullPolicy::of(errand.demand.policy.as_deref(), &errand.image);
        if policy == PullPolicy::Always {
            self.count_request(policy, "unknown", true);
        } else if let Some(image) = self.look(errand).await? {
            let may_use = self.may_use(errand, &image).await?;
            self.count_request(policy, "true", !may_use);
            if may_use {
                return Ok(self.already_present(errand, image));
            }
            if policy == PullPolicy::Never {
                return Err(self.never(errand));
            }
            return self.pull(errand, None).await;
        } else {
            self.count_request(policy, "false", policy != PullPolicy::Never);
        }
        match policy {
            PullPolicy::Never => Err(self.never(errand)),
            PullPolicy::Always => self.pull(errand, None).await,
            PullPolicy::IfNotPresent => {
                let turn = self.turn(&errand.image);
                let _held = turn.lock().await;
                self.pull(errand, Some(())).await
            }
        }
    }

    /// Counts a demand, by what was found and what follows from it (upstream `recordEnsureImageRequest`).
    fn count_request(&self, policy: PullPolicy, present: &str, pull: bool) {
        let policy = match policy {
            PullPolicy::Always => "always",
            PullPolicy::IfNotPresent => "ifnotpresent",
            PullPolicy::Never => "never",
        };
        let pull = if pull { "true" } else { "false" };
        self.ports.metrics.image_requests.with([policy, present, pull]).inc();
    }

    async fn look(&self, errand: &Errand<'_>) -> Result<Option<cri::Image>, ImageWaiting> {
        self.ports.images.image_status(&spec_of(errand)).await.map_err(|error| {
            let message = format!("Failed to inspect image \"\": {error}");
            self.record(errand, EventKind::Warning, "InspectFailed", message.clone());
            ImageWaiting { reason: "ImageInspectError".into(), message, retry_at: Some(self.soon()) }
        })
    }

    async fn may_use(&self, errand: &Errand<'_>, image: &cri::Image) -> Result<bool, ImageWaiting> {
        let failed =
            |message: String| ImageWaiting { reason: "ErrImagePull".into(), message, retry_at: Some(self.soon()) };
        let shown = || self.credentials.of(&self.ports, errand.pod, &errand.image);
        self.records.may_use(&self.ports, &errand.demand.image, image, shown).await.map_err(failed)
    }

    fn already_present(&self, errand: &Errand<'_>, image: cri::Image) -> PulledImage {
        let name = &errand.demand.image;
        let message = format!("Container image \"{name}\" already present on machine and can be accessed by the pod");
        self.record(errand, EventKind::Normal, "Pulled", message);
        found(errand, image)
    }

    /// Missing, or present but not allowed for this pod: the message is the same.
    fn never(&self, errand: &Errand<'_>) -> ImageWaiting {
        let message = format!("Container image \"{}\" is not present with pull policy of Never", errand.demand.image);
        self.record(errand, EventKind::Warning, "ErrImageNeverPull", message.clone());
        ImageWaiting { reason: "ErrImageNeverPull".into(), message, retry_at: Some(self.soon()) }
    }

    /// The lock for pulls of one image. Unused locks are dropped here.
    fn turn(&self, image: &str) -> Arc<TurnLock<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = turns.get(image).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(TurnLock::new(()));
        turns.insert(image.to_owned(), Arc::downgrade(&lock));
        lock
    }

    fn backoff(&self) -> MutexGuard<'_, PullBackoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, errand: &Errand<'_>, kind: EventKind, reason: &str, message: String) {
        let target = EventTarget::Container(errand.pod, &errand.demand.field_path);
        self.ports.events.record(target, kind, reason, message);
    }

    fn soon(&self) -> Timestamp {
        (self.ports.wall)().later(ASK_AGAIN)
    }
}

#[async_trait]
impl PodImages for Images {
    async fn ensure(
        &self,
        pod: &Arc<Pod>,
        demand: &ImageDemand,
        sandbox: Option<&cri::PodSandboxConfig>,
    ) -> Result<PulledImage, ImageWaiting> {
        let mut errand = Errand { pod, uid: uid_of(pod), demand, image: String::new(), sandbox };
        let result = match with_default_tag(&demand.image) {
            Ok(image) => {
                errand.image = image;
                self.ensure_demand(&errand).await
            }
            Err(error) => {
                let mut message = format!("Failed to apply default image tag \"{}\": {error}", demand.image);
                if is_host_image(&demand.image) {
                    message += " (programs of the host run where the kubelet's --host-programs names their folder)";
                }
                self.record(&errand, EventKind::Warning, "InspectFailed", message.clone());
                Err(ImageWaiting { reason: "InvalidImageName".into(), message, retry_at: None })
            }
        };
        if let Err(waiting) = &result
            && !demand.field_path.starts_with("spec.volumes")
        {
            self.record(&errand, EventKind::Warning, "Failed", format!("Error: {}", waiting.reason));
        }
        result
    }

    fn forget(&self, uid: &PodUid) {
        self.backoff().forget(uid);
    }
}

fn spec_of(errand: &Errand<'_>) -> cri::ImageSpec {
    let annotations = errand.pod.metadata.annotations.clone().unwrap_or_default();
    cri::ImageSpec {
        image: errand.image.clone(),
        annotations: annotations.into_iter().collect(),
        ..cri::ImageSpec::default()
    }
}

fn found(errand: &Errand<'_>, image: cri::Image) -> PulledImage {
    let spec = cri::ImageSpec {
        image: image.id.clone(),
        user_specified_image: errand.demand.image.clone(),
        ..cri::ImageSpec::default()
    };
    PulledImage { spec, image }
}

#[cfg(test)]
mod tests;
