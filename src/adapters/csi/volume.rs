//! Stages and publishes volumes of drivers, and reverses both (upstream `pkg/volume/csi`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSIDriver, CSIDriverSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use tokio::sync::watch;
use tonic::Code;

use super::driver::Driver;
use super::drivers::Drivers;
use super::layout::{PLUGIN, record_of};
use super::limits;
use super::place::{Place, sha256};
use super::proto::csi::{
    CapacityRange, NodeExpandVolumeRequest, NodePublishVolumeRequest, NodeStageVolumeRequest, VolumeCapability,
};
use super::record::{self, EPHEMERAL, PERSISTENT, Record};
use super::source::CsiSource;
use super::terms::{
    capability, check_lifecycle, is_attached, is_infeasible, is_limit_exceeded, is_of_one_pod, kubelet_applies_group,
    pod_info,
};
use crate::adapters::fs::entries;
use crate::adapters::keyed_lock::KeyedLock;
use crate::core::model::{Amount, uid_of};
use crate::core::status::GrowthStep;
use crate::offload::Lanes;
use crate::ports::kubelet::{Objects, StorageApi, TokenRequest};

/// Volumes of drivers on this node.
pub struct CsiVolumes {
    root: PathBuf,
    /// The root as configured, possibly a link: drivers have it mounted by that name.
    named_root: PathBuf,
    node_name: String,
    drivers: Drivers,
    objects: Arc<dyn Objects>,
    api: Arc<dyn StorageApi>,
    /// Attachable volumes that are mounted or about to be, for the node's `status.volumesInUse`.
    in_use: watch::Sender<BTreeSet<String>>,
    /// Size in bytes of each volume, by driver and handle, that its driver on this node has seen.
    sizes: Mutex<HashMap<(String, String), i64>>,
    /// Whether a driver wants its volumes published periodically, according to its object when last read.
    republishes: Mutex<HashMap<String, bool>>,
    /// A volume is staged and published, or the reverse, for one pod at a time: unpublishing for the last pod must not
    /// race publishing for a new one.
    locks: KeyedLock<(String, String)>,
    /// Operations on the records on disk and on mounts.
    lanes: Lanes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The root of the file system, or the device.
    pub path: PathBuf,
    /// True if the driver leaves the pod's fsGroup to the kubelet.
    pub group_is_left: bool,
}

/// Why a volume is not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Failed(String),
    /// The limit of the driver's volumes on the node is reached: the pod has to run elsewhere.
    #[error("{0}")]
    AttachLimit(
        /// The message of the storage system.
        String,
    ),
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

/// A driver's error in upstream's words.
fn told(status: &tonic::Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

type Secrets = BTreeMap<String, String>;

impl CsiVolumes {
    pub fn new(
        root: &Path,
        node_name: &str,
        drivers: Drivers,
        objects: Arc<dyn Objects>,
        api: Arc<dyn StorageApi>,
    ) -> Self {
        let (in_use, _) =
            watch::channel(record::in_pods(root).iter().map(|(_, record)| record.unique_name()).collect());
        let (root, node_name) = (root.to_path_buf(), node_name.to_owned());
        let (named_root, lanes) = (root.clone(), Lanes::new("volume at"));
        let (sizes, republishes, locks) = (Mutex::default(), Mutex::default(), KeyedLock::default());
        Self { root, named_root, node_name, drivers, objects, api, in_use, sizes, republishes, locks, lanes }
    }

    /// Passes paths below this root to drivers, which leads to the same directory.
    #[must_use]
    pub fn with_named_root(mut self, named_root: &Path) -> Self {
        self.named_root = named_root.to_path_buf();
        self
    }

    /// A path as a driver knows it.
    fn text(&self, path: &Path) -> String {
        let named = path.strip_prefix(&self.root).map(|rest| self.named_root.join(rest));
        named.as_deref().unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Runs disk operations on one path off the runtime's thread.
    async fn on_disk<T: Send + 'static>(
        &self,
        path: &Path,
        call: &'static str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        self.lanes.io(path.to_string_lossy(), call, work).await.map_err(|e| e.to_string())
    }

    /// [`CsiVolumes::on_disk`] for a place.
    async fn at<T: Send + 'static>(
        &self,
        place: &Place,
        call: &'static str,
        work: impl FnOnce(&Place) -> io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let own = place.clone();
        self.on_disk(&place.of_pod, call, move || work(&own)).await
    }

    /// Volumes that must not be detached from the node, for `status.volumesInUse`.
    pub fn in_use(&self) -> watch::Receiver<BTreeSet<String>> {
        self.in_use.subscribe()
    }

    /// Adds a volume to those in use, or removes it.
    fn note_use(&self, record: &Record, used: bool) {
        let name = record.unique_name();
        self.in_use.send_if_modified(|names| if used { names.insert(name) } else { names.remove(&name) });
    }

    /// True if a running pod's volume has to be published again: because of its size, or because its driver wants that.
    pub fn is_due(&self, source: &CsiSource) -> bool {
        let republishes = self.republishes.lock().unwrap_or_else(PoisonError::into_inner);
        republishes.get(&source.driver).copied().unwrap_or(true) || self.is_behind(source)
    }

    /// True if the driver on this node may not have seen the volume's size.
    fn is_behind(&self, source: &CsiSource) -> bool {
        source.growing.as_ref().is_some_and(|(_, growth)| {
            let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = sizes.get(&(source.driver.clone(), source.handle.clone()));
            growth.waits || seen.is_none_or(|seen| *seen < Amount::of(&growth.size).units())
        })
    }

    fn note_size(&self, source: &CsiSource, size: &Quantity) {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.insert((source.driver.clone(), source.handle.clone()), Amount::of(size).units());
    }

    /// True if pods other than the one at `of_pod` use the volume on this node.
    async fn has_others(&self, of_pod: &Path, driver: &str, handle: &str) -> Result<bool, String> {
        let root = self.root.clone();
        let all = self.on_disk(&self.root, "list volumes of pods", move || Ok(record::in_pods(&root))).await?;
        let is_other = |(path, other): &(PathBuf, Record)| path != of_pod && other.is_of(driver, handle);
        Ok(all.iter().any(is_other))
    }

    /// Publishes a volume; `of_pod` is its path in the pod's directory. Idempotent.
    pub async fn publish(&self, pod: &Pod, source: &CsiSource, of_pod: &Path) -> Result<Published, Refusal> {
        let driver = self.driver(&source.driver)?;
        let object = self.api.csi_driver(&source.driver).await.map_err(|e| e.to_string())?;
        let settings = object.as_ref().map(|o: &CSIDriver| &o.spec);
        check_lifecycle(source, settings)?;
        let handle = match source.inline {
            true => format!("csi-{}", sha256(&format!("{}{}", uid_of(pod), source.name))),
            false => source.handle.clone(),
        };
        let _lock = self.locks.lock((source.driver.clone(), handle.clone())).await;
        let place = Place::new(&self.root, of_pod, source.block, &source.driver, &handle);
        let published = self.at(&place, "check for the mount", Place::is_published).await?;
        let republish = settings.and_then(|s| s.requires_republish).unwrap_or_default();
        self.republishes.lock().unwrap_or_else(PoisonError::into_inner).insert(source.driver.clone(), republish);
        let quiet = source.growing.as_ref().is_some_and(|(_, growth)| !growth.waits);
        if !published && (is_of_one_pod(source) || quiet) {
            let others = self.has_others(of_pod, &source.driver, &handle).await?;
            if others && is_of_one_pod(source) {
                let text = "volume uses the ReadWriteOncePod access mode and is already in use by another pod";
                return Err(Refusal::from(text.to_owned()));
            }
            // The driver sees the volume for the first time, with its current size.
            if let Some((_, growth)) = source.growing.as_ref().filter(|_| !others) {
                self.note_size(source, &growth.size);
            }
        }
        let mut group_is_left = false;
        if !published || republish {
            let leaves_group = self.publish_at(&place, &driver, pod, source, settings, handle).await?;
            group_is_left = !published && leaves_group;
        }
        match self.grow(&place, &driver, source).await {
            // The volume can be used as it is.
            Err(error) if published => tracing::warn!(volume = source.name, error, "a volume in use was not expanded"),
            other => other?,
        }
        Ok(Published { path: place.target, group_is_left })
    }

    /// Publishes a volume; true if the driver leaves the pod's fsGroup to the kubelet.
    async fn publish_at(
        &self,
        place: &Place,
        driver: &Driver,
        pod: &Pod,
        source: &CsiSource,
        settings: Option<&CSIDriverSpec>,
        handle: String,
    ) -> Result<bool, Refusal> {
        let attachment = format!("csi-{}", sha256(&format!("{handle}{}{}", source.driver, self.node_name)));
        let publish_context = self.publish_context(source, settings, &attachment).await?;
        let record = Record {
            attachment_id: attachment,
            driver_name: source.driver.clone(),
            node_name: self.node_name.clone(),
            spec_vol_id: source.name.clone(),
            volume_handle: handle.clone(),
            volume_lifecycle_mode: if source.inline { EPHEMERAL } else { PERSISTENT }.to_owned(),
        };
        if is_attached(source, settings) {
            self.note_use(&record, true);
        }
        let abilities = driver.abilities().await.map_err(|e| e.message().to_owned())?;
        let group = pod.spec.as_ref().and_then(|s| s.security_context.as_ref()).and_then(|c| c.fs_group);
        let capability = capability(source, abilities, group.filter(|_| abilities.applies_group));
        let staging = match abilities.stages && !source.inline {
            true => self.stage(driver, source, place, &publish_context, &capability).await?,
            false => String::new(),
        };
        self.at(place, "note", move |place| place.note(&record)).await?;
        let mut context = source.attributes.clone();
        let mut secrets = self.secret(source.publish_secret.as_ref(), "NodePublishSecretRef").await?;
        if settings.and_then(|s| s.pod_info_on_mount).unwrap_or_default() {
            context.extend(pod_info(pod, source.inline));
        }
        if let Some((key, tokens)) = self.tokens(pod, settings).await? {
            let hidden = settings.and_then(|s| s.service_account_token_in_secrets).unwrap_or_default();
            if hidden {
                secrets.insert(key, tokens)
            } else {
                context.insert(key, tokens)
            };
        }
        let request = NodePublishVolumeRequest {
            volume_id: handle,
            publish_context: publish_context.into_iter().collect(),
            staging_target_path: staging,
            target_path: self.text(&place.target),
            volume_capability: Some(capability),
            readonly: source.read_only,
            secrets: secrets.into_iter().collect(),
            volume_context: context.into_iter().collect(),
        };
        driver.publish(request).await.map_err(|e| told(&e))?;
        Ok(!abilities.applies_group && kubelet_applies_group(source, settings))
    }

    async fn stage(
        &self,
        driver: &Driver,
        source: &CsiSource,
        place: &Place,
        publish_context: &BTreeMap<String, String>,
        capability: &VolumeCapability,
    ) -> Result<String, String> {
        let (driver_name, volume_handle) = (source.driver.clone(), source.handle.clone());
        let record = Record { driver_name, volume_handle, ..Record::default() };
        self.at(place, "note staging", move |place| place.note_staging(&record)).await?;
        let request = NodeStageVolumeRequest {
            volume_id: source.handle.clone(),
            publish_context: publish_context.clone().into_iter().collect(),
            staging_target_path: self.text(&place.staging),
            volume_capability: Some(capability.clone()),
            secrets: self.secret(source.stage_secret.as_ref(), "NodeStageSecretRef").await?.into_iter().collect(),
            volume_context: source.attributes.clone().into_iter().collect(),
        };
        driver.stage(request).await.map_err(|e| told(&e))?;
        Ok(self.text(&place.staging))
    }

    /// Grows a published volume if its claim waits for that, and records the result in the claim; also if only this
    /// node is behind.
    async fn grow(&self, place: &Place, driver: &Driver, source: &CsiSource) -> Result<(), String> {
        let Some((claim, growth)) = source.growing.as_ref().filter(|_| !source.read_only && self.is_behind(source))
        else {
            return Ok(());
        };
        let size = &growth.size;
        let abilities = driver.abilities().await.map_err(|e| told(&e))?;
        if !abilities.grows {
            self.note_size(source, size);
            return Ok(());
        }
        let request = NodeExpandVolumeRequest {
            volume_id: source.handle.clone(),
            volume_path: self.text(&place.target),
            capacity_range: Some(CapacityRange { required_bytes: Amount::of(size).units(), limit_bytes: 0 }),
            staging_target_path: if abilities.stages { self.text(&place.staging) } else { String::new() },
            volume_capability: Some(capability(source, abilities, None)),
            secrets: self.secret(source.grow_secret.as_ref(), "NodeExpandSecretRef").await?.into_iter().collect(),
        };
        let tell = |claim: Arc<PersistentVolumeClaim>, step| async move {
            if growth.waits { self.api.tell_growth(&claim, step).await.map(Arc::new) } else { Ok(claim) }
        };
        let claim = tell(Arc::clone(claim), GrowthStep::Begun).await.map_err(|e| e.to_string())?;
        let grown = driver.expand(request).await;
        let step = match &grown {
            Ok(()) => GrowthStep::Done(size.clone()),
            Err(status) if is_infeasible(status) => GrowthStep::Infeasible(told(status)),
            Err(status) => GrowthStep::Failed(told(status)),
        };
        if grown.is_ok() {
            self.note_size(source, size);
        }
        tell(claim, step).await.map_err(|e| e.to_string())?;
        match grown {
            // It cannot be grown while it is in use, but it can be used.
            Err(status) if status.code() == Code::FailedPrecondition => Ok(()),
            other => other.map_err(|e| told(&e)),
        }
    }

    /// Unpublishes and unstages every driver volume of a pod. Each fault is a path and a message.
    pub async fn unpublish_all(&self, pod_dir: &Path) -> Vec<(PathBuf, String)> {
        let mut faults = Vec::new();
        for (kind, block) in record::KINDS {
            let dir = pod_dir.join(kind).join(PLUGIN);
            let listed = dir.clone();
            let found = match self.on_disk(&dir, "list", move || Ok(entries(&listed))).await {
                Ok(found) => found,
                Err(error) => {
                    faults.push((dir, error));
                    continue;
                }
            };
            for of_pod in found {
                if let Err(error) = self.unpublish(&of_pod, block).await {
                    faults.push((of_pod, error));
                }
            }
        }
        faults
    }

    async fn unpublish(&self, of_pod: &Path, block: bool) -> Result<(), String> {
        let dir = record_of(&self.root, of_pod, block);
        let Some(record) = self.on_disk(of_pod, "read note", move || Record::read(&dir)).await? else {
            return Ok(());
        };
        let driver = self.driver(&record.driver_name)?;
        let _lock = self.locks.lock((record.driver_name.clone(), record.volume_handle.clone())).await;
        let place = Place::new(&self.root, of_pod, block, &record.driver_name, &record.volume_handle);
        let answer = driver.unpublish(record.volume_handle.clone(), self.text(&place.target)).await;
        answer.map_err(|e| told(&e))?;
        self.at(&place, "remove mount point", Place::remove_target).await?;
        let last = !self.has_others(of_pod, &record.driver_name, &record.volume_handle).await?;
        // The pod's own record is removed last: a kubelet that is killed meanwhile repeats all of this.
        if record.is_persistent() && last {
            if self.at(&place, "check for the staging mount", |place| Ok(place.is_staged())).await? {
                let answer = driver.unstage(record.volume_handle.clone(), self.text(&place.staging)).await;
                answer.map_err(|e| told(&e))?;
                self.at(&place, "remove staging", Place::remove_staging).await?;
            }
            self.note_use(&record, false);
            let volume = (record.driver_name.clone(), record.volume_handle.clone());
            self.sizes.lock().unwrap_or_else(PoisonError::into_inner).remove(&volume);
        }
        self.at(&place, "remove note", move |place| place.forget(last)).await
    }

    fn driver(&self, name: &str) -> Result<Driver, String> {
        self.drivers
            .get(name)
            .ok_or_else(|| format!("driver name {name} not found in the list of registered CSI drivers"))
    }

    /// The result of attaching the volume to the node; an error while it is not attached.
    async fn publish_context(
        &self,
        source: &CsiSource,
        settings: Option<&CSIDriverSpec>,
        attachment: &str,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        if !is_attached(source, settings) {
            return Ok(BTreeMap::new());
        }
        let found = self.api.volume_attachment(attachment).await.map_err(|e| e.to_string())?;
        let status = found.and_then(|a| a.status);
        if let Some(error) = status.as_ref().and_then(|s| s.attach_error.as_ref()) {
            let text = error.message.clone().unwrap_or_else(|| "the volume could not be attached".to_owned());
            if !is_limit_exceeded(error, settings) {
                return Err(Refusal::from(text));
            }
            // So that the scheduler places the pod's replacement elsewhere.
            if let Err(error) = limits::renew(&source.driver, &self.driver(&source.driver)?, &*self.api).await {
                tracing::warn!(driver = source.driver, error, "the volume limit of the node is not updated");
            }
            return Err(Refusal::AttachLimit(text));
        }
        match status.filter(|s| s.attached) {
            Some(status) => Ok(status.attachment_metadata.unwrap_or_default()),
            None => {
                Err(Refusal::from(format!("volume {} is not attached to node {} yet", source.handle, self.node_name)))
            }
        }
    }

    async fn secret(&self, reference: Option<&(String, String)>, what: &str) -> Result<Secrets, String> {
        let Some((namespace, name)) = reference else { return Ok(Secrets::new()) };
        let secret = self.objects.secret(namespace, name).await;
        let secret = secret.map_err(|e| format!("fetching {what} {namespace}/{name} failed: {e}"))?;
        let data = secret.data.iter().flatten();
        Ok(data.map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned())).collect())
    }

    /// The service account tokens that the driver requests, as one attribute.
    async fn tokens(&self, pod: &Pod, settings: Option<&CSIDriverSpec>) -> Result<Option<(String, String)>, String> {
        let requests = settings.and_then(|s| s.token_requests.as_deref()).unwrap_or_default();
        if requests.is_empty() {
            return Ok(None);
        }
        const HOUR: i64 = 3600;
        let mut tokens = serde_json::Map::new();
        for request in requests {
            let ask = TokenRequest {
                audiences: Some(request.audience.clone()).filter(|a| !a.is_empty()).into_iter().collect(),
                expiration_seconds: request.expiration_seconds.unwrap_or(HOUR),
            };
            let (token, expiry) = self.objects.token(pod, &ask).await.map_err(|e| e.to_string())?;
            let expiry = expiry.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            tokens.insert(request.audience.clone(), serde_json::json!({"token": token, "expirationTimestamp": expiry}));
        }
        Ok(Some(("csi.storage.k8s.io/serviceAccount.tokens".to_owned(), serde_json::Value::Object(tokens).to_string())))
    }
}
