//! Stages and publishes volumes of drivers, and takes them back (upstream `pkg/volume/csi`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::storage::v1::{CSIDriver, CSIDriverSpec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::driver::{Abilities, Driver};
use super::drivers::Drivers;
use super::proto::csi::volume_capability::access_mode::Mode;
use super::proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use super::proto::csi::{NodePublishVolumeRequest, NodeStageVolumeRequest, VolumeCapability};
use crate::adapters::fs::atomic::write_if_changed;
use crate::adapters::fs::mounts;
use crate::core::model::{key_of, uid_of};
use crate::ports::{Objects, StorageApi, TokenRequest};

/// A volume of a driver, from a pod or from a persistent volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiSource {
    /// Name of the persistent volume, or of the pod's volume.
    pub name: String,
    /// Driver.
    pub driver: String,
    /// The volume's id in the driver; empty for an inline volume, which gets one from pod and name.
    pub handle: String,
    /// Written in the pod itself: lives as long as the pod.
    pub inline: bool,
    /// Containers must not write.
    pub read_only: bool,
    /// File system; empty for the driver's choice.
    pub fs_type: String,
    /// First access mode, e.g. `ReadWriteOnce`.
    pub access_mode: String,
    /// Attributes for the driver.
    pub attributes: BTreeMap<String, String>,
    /// Options for mounting.
    pub mount_options: Vec<String>,
    /// Namespace and name of the secret for publishing.
    pub publish_secret: Option<(String, String)>,
    /// Namespace and name of the secret for staging.
    pub stage_secret: Option<(String, String)>,
}

/// What `vol_data.json` keeps beside a mount, in upstream's format: enough to take it down after a restart.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default, rename = "attachmentID")]
    attachment_id: String,
    driver_name: String,
    #[serde(default)]
    node_name: String,
    #[serde(default, rename = "specVolID")]
    spec_vol_id: String,
    volume_handle: String,
    #[serde(default)]
    volume_lifecycle_mode: String,
}

impl Record {
    /// As upstream names an attachable volume (`util.GetUniqueVolumeName` of the CSI plugin).
    fn unique_name(&self) -> String {
        format!("kubernetes.io/csi/{}^{}", self.driver_name, self.volume_handle)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.driver_name == other.driver_name && self.volume_handle == other.volume_handle
    }
}

/// Lifecycle modes of volumes.
const EPHEMERAL: &str = "Ephemeral";
const PERSISTENT: &str = "Persistent";

/// Records of the persistent volumes that pods of the node have.
fn records(root: &Path) -> Vec<Record> {
    let pods = fs::read_dir(root.join("pods")).into_iter().flatten().flatten();
    let volumes =
        pods.flat_map(|pod| fs::read_dir(pod.path().join("volumes/kubernetes.io~csi")).into_iter().flatten().flatten());
    let found = volumes.filter_map(|volume| read_record(&volume.path()).ok().flatten());
    found.filter(|record| record.volume_lifecycle_mode != EPHEMERAL).collect()
}

/// Whether a volume is attached to the node before it is mounted.
fn is_attached(source: &CsiSource, settings: Option<&CSIDriverSpec>) -> bool {
    !source.inline && settings.and_then(|s| s.attach_required) != Some(false)
}

/// Volumes of drivers on this node.
pub struct CsiVolumes {
    root: PathBuf,
    node_name: String,
    drivers: Drivers,
    objects: Arc<dyn Objects>,
    api: Arc<dyn StorageApi>,
    /// Attachable volumes that are mounted or about to be, as `status.volumesInUse` of the node names them.
    in_use: watch::Sender<BTreeSet<String>>,
}

type Secrets = BTreeMap<String, String>;

impl CsiVolumes {
    /// `root` is `/var/lib/kubelet`.
    pub fn new(
        root: &Path,
        node_name: &str,
        drivers: Drivers,
        objects: Arc<dyn Objects>,
        api: Arc<dyn StorageApi>,
    ) -> Self {
        let (in_use, _) = watch::channel(records(root).iter().map(Record::unique_name).collect());
        Self { root: root.to_path_buf(), node_name: node_name.to_owned(), drivers, objects, api, in_use }
    }

    /// Volumes that must not be detached from the node, for `status.volumesInUse`.
    pub fn in_use(&self) -> watch::Receiver<BTreeSet<String>> {
        self.in_use.subscribe()
    }

    /// Adds a volume to those in use, or takes it away.
    fn note_use(&self, record: &Record, used: bool) {
        let name = record.unique_name();
        self.in_use.send_if_modified(|names| if used { names.insert(name) } else { names.remove(&name) });
    }

    /// Publishes a volume at `<dir>/mount`, where `dir` is the volume's directory of the pod. True when the driver left
    /// the pod's group for the kubelet to apply.
    pub async fn publish(&self, pod: &Pod, source: &CsiSource, dir: &Path) -> Result<bool, String> {
        let driver = self.driver(&source.driver)?;
        let object = self.api.csi_driver(&source.driver).await.map_err(|e| e.to_string())?;
        let settings = object.as_ref().map(|o: &CSIDriver| &o.spec);
        check_lifecycle(source, settings)?;
        let target = dir.join("mount");
        let published =
            dir.join("vol_data.json").exists() && mounts::is_mount_point(&target).map_err(|e| e.to_string())?;
        let republish = settings.and_then(|s| s.requires_republish).unwrap_or_default();
        if published && !republish {
            return Ok(false);
        }
        let handle = match source.inline {
            true => format!("csi-{}", sha256(&format!("{}{}", uid_of(pod), source.name))),
            false => source.handle.clone(),
        };
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
            true => self.stage(&driver, source, &publish_context, &capability).await?,
            false => String::new(),
        };
        write_record(dir, &record).map_err(|e| e.to_string())?;
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
            target_path: target.to_string_lossy().into_owned(),
            volume_capability: Some(capability),
            readonly: source.read_only,
            secrets: secrets.into_iter().collect(),
            volume_context: context.into_iter().collect(),
        };
        driver
            .publish(request)
            .await
            .map_err(|e| format!("rpc error: code = {:?} desc = {}", e.code(), e.message()))?;
        Ok(!published && !abilities.applies_group && kubelet_applies_group(source, settings))
    }

    async fn stage(
        &self,
        driver: &Driver,
        source: &CsiSource,
        publish_context: &BTreeMap<String, String>,
        capability: &VolumeCapability,
    ) -> Result<String, String> {
        let dir = self.staging_dir(&source.driver, &source.handle);
        let target = dir.join("globalmount");
        fs::create_dir_all(&target).map_err(|e| e.to_string())?;
        let record = Record {
            attachment_id: String::new(),
            driver_name: source.driver.clone(),
            node_name: String::new(),
            spec_vol_id: String::new(),
            volume_handle: source.handle.clone(),
            volume_lifecycle_mode: String::new(),
        };
        write_record(&dir, &record).map_err(|e| e.to_string())?;
        let staging_target_path = target.to_string_lossy().into_owned();
        let request = NodeStageVolumeRequest {
            volume_id: source.handle.clone(),
            publish_context: publish_context.clone().into_iter().collect(),
            staging_target_path: staging_target_path.clone(),
            volume_capability: Some(capability.clone()),
            secrets: self.secret(source.stage_secret.as_ref(), "NodeStageSecretRef").await?.into_iter().collect(),
            volume_context: source.attributes.clone().into_iter().collect(),
        };
        driver.stage(request).await.map_err(|e| format!("rpc error: code = {:?} desc = {}", e.code(), e.message()))?;
        Ok(staging_target_path)
    }

    /// Takes back every volume of drivers that a pod has. Each fault is a path and what went wrong.
    pub async fn unpublish_all(&self, pod_dir: &Path) -> Vec<(PathBuf, String)> {
        let mut faults = Vec::new();
        let volumes = pod_dir.join("volumes").join("kubernetes.io~csi");
        for entry in fs::read_dir(volumes).into_iter().flatten().flatten() {
            if let Err(error) = self.unpublish(&entry.path()).await {
                faults.push((entry.path(), error));
            }
        }
        faults
    }

    async fn unpublish(&self, dir: &Path) -> Result<(), String> {
        let Some(record) = read_record(dir).map_err(|e| e.to_string())? else { return Ok(()) };
        let driver = self.driver(&record.driver_name)?;
        let target = dir.join("mount");
        let answer = driver.unpublish(record.volume_handle.clone(), target.to_string_lossy().into_owned()).await;
        answer.map_err(|e| format!("rpc error: code = {:?} desc = {}", e.code(), e.message()))?;
        for result in [fs::remove_dir(&target), fs::remove_file(dir.join("vol_data.json")), fs::remove_dir(dir)] {
            ignore_missing(result).map_err(|e| e.to_string())?;
        }
        if record.volume_lifecycle_mode != EPHEMERAL && !records(&self.root).iter().any(|other| other.is_same(&record))
        {
            self.unstage(&driver, &record).await?;
            self.note_use(&record, false);
        }
        Ok(())
    }

    async fn unstage(&self, driver: &Driver, record: &Record) -> Result<(), String> {
        let dir = self.staging_dir(&record.driver_name, &record.volume_handle);
        if !dir.join("vol_data.json").exists() {
            return Ok(());
        }
        let target = dir.join("globalmount");
        let answer = driver.unstage(record.volume_handle.clone(), target.to_string_lossy().into_owned()).await;
        answer.map_err(|e| format!("rpc error: code = {:?} desc = {}", e.code(), e.message()))?;
        for result in [fs::remove_dir(&target), fs::remove_file(dir.join("vol_data.json")), fs::remove_dir(&dir)] {
            ignore_missing(result).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn staging_dir(&self, driver: &str, handle: &str) -> PathBuf {
        // A driver's name is a DNS name; what is none must not become a path.
        let driver = driver.replace(['/', '\0'], "_");
        self.root.join("plugins/kubernetes.io/csi").join(driver.trim_start_matches('.')).join(sha256(handle))
    }

    fn driver(&self, name: &str) -> Result<Driver, String> {
        self.drivers
            .get(name)
            .ok_or_else(|| format!("driver name {name} not found in the list of registered CSI drivers"))
    }

    /// What attaching the volume to the node gave; an error while it is not attached.
    async fn publish_context(
        &self,
        source: &CsiSource,
        settings: Option<&CSIDriverSpec>,
        attachment: &str,
    ) -> Result<BTreeMap<String, String>, String> {
        if !is_attached(source, settings) {
            return Ok(BTreeMap::new());
        }
        let found = self.api.volume_attachment(attachment).await.map_err(|e| e.to_string())?;
        let status = found.and_then(|a| a.status);
        if let Some(error) = status.as_ref().and_then(|s| s.attach_error.as_ref()) {
            return Err(error.message.clone().unwrap_or_else(|| "the volume could not be attached".to_owned()));
        }
        match status.filter(|s| s.attached) {
            Some(status) => Ok(status.attachment_metadata.unwrap_or_default()),
            None => Err(format!("volume {} is not attached to node {} yet", source.handle, self.node_name)),
        }
    }

    async fn secret(&self, reference: Option<&(String, String)>, what: &str) -> Result<Secrets, String> {
        let Some((namespace, name)) = reference else { return Ok(Secrets::new()) };
        let secret = self.objects.secret(namespace, name).await;
        let secret = secret.map_err(|e| format!("fetching {what} {namespace}/{name} failed: {e}"))?;
        let data = secret.data.iter().flatten();
        Ok(data.map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned())).collect())
    }

    /// Tokens of the pod's service account that the driver asks for, as one attribute.
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

fn check_lifecycle(source: &CsiSource, settings: Option<&CSIDriverSpec>) -> Result<(), String> {
    let wanted = if source.inline { EPHEMERAL } else { PERSISTENT };
    let modes = settings.and_then(|s| s.volume_lifecycle_modes.as_deref()).unwrap_or_default();
    // Drivers without an object, or an object without modes, do persistent volumes only.
    let allowed = if modes.is_empty() { !source.inline } else { modes.iter().any(|m| m == wanted) };
    let driver = &source.driver;
    if allowed { Ok(()) } else { Err(format!("volume mode {wanted:?} not supported by driver {driver}")) }
}

fn capability(source: &CsiSource, abilities: Abilities, group: Option<i64>) -> VolumeCapability {
    let mode = match source.access_mode.as_str() {
        "ReadOnlyMany" => Mode::MultiNodeReaderOnly,
        "ReadWriteMany" => Mode::MultiNodeMultiWriter,
        "ReadWriteOncePod" if abilities.single_writer_modes => Mode::SingleNodeSingleWriter,
        _ if abilities.single_writer_modes => Mode::SingleNodeMultiWriter,
        _ => Mode::SingleNodeWriter,
    };
    let mount = MountVolume {
        fs_type: source.fs_type.clone(),
        mount_flags: source.mount_options.clone(),
        volume_mount_group: group.map(|g| g.to_string()).unwrap_or_default(),
    };
    VolumeCapability {
        access_mode: Some(AccessMode { mode: mode as i32 }),
        access_type: Some(AccessType::Mount(mount)),
    }
}

/// Whether the driver's `fsGroupPolicy` leaves the group to the kubelet.
fn kubelet_applies_group(source: &CsiSource, settings: Option<&CSIDriverSpec>) -> bool {
    match settings.and_then(|s| s.fs_group_policy.as_deref()).unwrap_or("ReadWriteOnceWithFSType") {
        _ if source.read_only => false,
        "File" => true,
        "None" => false,
        _ => !source.fs_type.is_empty() && (source.inline || source.access_mode == "ReadWriteOnce"),
    }
}

fn pod_info(pod: &Pod, inline: bool) -> BTreeMap<String, String> {
    let key = key_of(pod);
    let account = pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_default();
    let pairs = [
        ("pod.name", key.name.to_string()),
        ("pod.namespace", key.namespace.to_string()),
        ("pod.uid", uid_of(pod).to_string()),
        ("serviceAccount.name", account),
        ("ephemeral", inline.to_string()),
    ];
    pairs.into_iter().map(|(name, value)| (format!("csi.storage.k8s.io/{name}"), value)).collect()
}

fn write_record(dir: &Path, record: &Record) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    write_if_changed(&dir.join("vol_data.json"), &serde_json::to_vec(record)?, 0o600).map(drop)
}

fn read_record(dir: &Path) -> io::Result<Option<Record>> {
    match fs::read(dir.join("vol_data.json")) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
