//! Volumes of pods on the node: directories and mounts.
//!
//! First every object that a volume refers to is read ([`source`]), then the disk work is done on a thread per volume
//! ([`set_up`], [`Lanes`]), so that a dead server behind one volume does not delay anything else. Operations on one pod
//! are serialized.

mod atomic_writer;
mod claim;
mod content;
mod device;
mod empty_dir;
mod host_path;
mod layout;
mod nested;
mod nfs;
mod ownership;
mod payload;
mod resolve;
mod set_up;
mod source;
mod sub_path;
mod tear_down;
mod tool;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Pod, Volume};
use tokio::sync::watch;

use self::layout::{Layout, subject};
use self::source::{Source, SourceError};
use crate::adapters::csi::CsiVolumes;
use crate::adapters::fs::{beneath, mounts};
use crate::adapters::keyed_lock::KeyedLock;
use crate::core::model::{MountedVolume, PodUid, uid_of, used_volumes, with_causes};
use crate::core::render::NodeContext;
use crate::offload::Lanes;
use crate::ports::kubelet::{Objects, VolumeError, Volumes};
use crate::telemetry::Metrics;

/// For work whose duration depends on the number of files: changing their group.
const LONG_LIMIT: Duration = Duration::from_secs(3600);

/// Largest file that `fileKeyRef` reads.
const MAX_ENV_FILE: u64 = 1 << 20;

/// Volumes below the kubelet's root directory.
pub struct LocalVolumes {
    layout: Layout,
    objects: Arc<dyn Objects>,
    node: watch::Receiver<Arc<NodeContext>>,
    /// Volumes of storage drivers; `None` without an API server.
    drivers: Option<CsiVolumes>,
    /// Serializes operations on one pod.
    locks: KeyedLock<PodUid>,
    /// Serializes formatting and mounting of a block device by several pods.
    devices: Arc<KeyedLock<PathBuf>>,
    /// Work on the disk, by pod and volume.
    lanes: Lanes,
    /// The same for work that visits every file of a volume.
    long_lanes: Lanes,
    /// Where operations are timed.
    metrics: Option<Arc<Metrics>>,
}

impl LocalVolumes {
    /// Volumes below the root directory in `node`; allocatable resources are read when used.
    pub fn new(objects: Arc<dyn Objects>, node: watch::Receiver<Arc<NodeContext>>) -> Self {
        let layout = Layout::new(&node.borrow().root_dir);
        let (lanes, long_lanes) = (Lanes::new("volume"), Lanes::with_limit("volume", LONG_LIMIT));
        let (locks, devices) = (KeyedLock::default(), Arc::default());
        Self { layout, objects, node, drivers: None, locks, devices, lanes, long_lanes, metrics: None }
    }

    /// Times what is done to volumes.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// An operation on a volume of that plugin has ended (upstream `OperationCompleteHook`).
    fn count(&self, plugin: &str, operation: &str, is_ok: bool, took: Duration) {
        if let Some(metrics) = &self.metrics {
            let status = if is_ok { "success" } else { "fail-unknown" };
            metrics.storage_operation.observe([plugin, operation, status, "false"], took);
        }
    }

    /// Adds volumes of storage drivers.
    #[must_use]
    pub fn with_drivers(mut self, drivers: CsiVolumes) -> Self {
        self.drivers = Some(drivers);
        self
    }

    /// Creates the root directory (0750) and lets mounts in it propagate to containers that request it. Returns its
    /// path without links, which the mount table uses.
    #[expect(clippy::disallowed_methods, reason = "once, before anything runs")]
    pub fn prepare_root(root_dir: &Path) -> io::Result<PathBuf> {
        use std::os::unix::fs::DirBuilderExt;
        if root_dir.is_symlink() && !root_dir.exists() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "is a link to a directory that does not exist"));
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(root_dir)?;
        let root_dir = std::fs::canonicalize(root_dir)?;
        mounts::make_shared(&root_dir)?;
        Ok(root_dir)
    }

    async fn set_up_one(&self, pod: &Pod, volume: &Volume) -> Result<MountedVolume, SourceError> {
        let node = self.node.borrow().clone();
        let source = resolve::resolve(self.objects.as_ref(), &node.allocatable, pod, volume).await?;
        let (plugin, began) = (source.plugin_name(), Instant::now());
        let done = set_up::set_up(self.request(pod, volume), self.drivers.as_ref(), pod, source).await;
        self.count(&plugin, "volume_mount", done.is_ok(), began.elapsed());
        done
    }

    fn request(&self, pod: &Pod, volume: &Volume) -> set_up::Request {
        set_up::Request::new(&self.layout, (&self.lanes, &self.long_lanes), &self.devices, pod, &volume.name)
    }

    /// Lets drivers grow volumes that need it, and publishes volumes again if their driver wants that. The pod runs
    /// regardless of the result.
    async fn refresh_claims(&self, pod: &Pod) {
        let claims = |v: &&Volume| v.persistent_volume_claim.is_some() || v.ephemeral.is_some();
        for volume in volumes_of(pod).iter().filter(claims) {
            let allocatable = self.node.borrow().allocatable.clone();
            let source = resolve::resolve(self.objects.as_ref(), &allocatable, pod, volume).await;
            let is_due = |source: &Source| match (source, &self.drivers) {
                (Source::Csi { source, .. }, Some(drivers)) => drivers.is_due(source),
                _ => false,
            };
            let Some(source) = source.ok().filter(is_due) else { continue };
            let _lock = self.locks.lock(uid_of(pod)).await;
            let request = self.request(pod, volume);
            if let Err(error) = set_up::set_up(request, self.drivers.as_ref(), pod, source).await {
                tracing::warn!(
                    volume = volume.name,
                    error = with_causes(&error),
                    "the content of a volume is not updated"
                );
            }
        }
    }

    async fn set_up_those(
        &self,
        pod: &Pod,
        chosen: impl Fn(&Volume) -> bool,
    ) -> Result<BTreeMap<String, MountedVolume>, Vec<VolumeError>> {
        let _lock = self.locks.lock(uid_of(pod)).await;
        let volumes = volumes_of(pod);
        let each = volumes.iter().filter(|v| chosen(v)).map(async |volume| match self.set_up_one(pod, volume).await {
            Ok(mounted) => Ok((volume.name.clone(), mounted)),
            Err(e) => {
                let (volume, SourceError { message, transient, attach_limit }) = (volume.name.clone(), e);
                Err(VolumeError { volume, message, transient, attach_limit })
            }
        });
        let (mut ready, mut faults) = (BTreeMap::new(), Vec::new());
        for result in join_all(each).await {
            match result {
                Ok((name, mounted)) => _ = ready.insert(name, mounted),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(ready) } else { Err(faults) }
    }
}

/// A plugin as upstream's metrics name it; its directory has `~` for the slash.
fn plugin_name(directory: &str) -> String {
    directory.replace('~', "/")
}

/// The pod's volumes, without those that none of its containers uses.
fn volumes_of(pod: &Pod) -> Vec<Volume> {
    let used = used_volumes(pod);
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter(|volume| used.contains(&volume.name)).cloned().collect()
}

/// True for volumes whose content depends on other objects; drivers may want to be called again too.
fn has_content(volume: &Volume) -> bool {
    volume.csi.is_some()
        || volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

#[async_trait]
impl Volumes for LocalVolumes {
    async fn set_up(&self, pod: &Pod) -> Result<BTreeMap<String, MountedVolume>, Vec<VolumeError>> {
        self.set_up_those(pod, |_| true).await
    }

    async fn refresh(&self, pod: &Pod) -> Result<(), Vec<VolumeError>> {
        self.refresh_claims(pod).await;
        self.set_up_those(pod, has_content).await.map(drop)
    }

    async fn sub_path(
        &self,
        pod: &Pod,
        container: &str,
        index: usize,
        volume: &MountedVolume,
        volume_name: &str,
        sub_path: &str,
    ) -> Result<PathBuf, VolumeError> {
        let fault = |error: String| {
            // Users see which mount it is, not the node's file system layout.
            tracing::warn!(container, volume = volume_name, error, "subPath not prepared");
            VolumeError {
                volume: volume_name.to_owned(),
                message: format!(
                    "failed to prepare subPath for volumeMount {volume_name:?} of container {container:?}"
                ),
                transient: true,
                attach_limit: false,
            }
        };
        let uid = uid_of(pod);
        let target = self.layout.sub_path(&uid, volume_name, container, index).map_err(|e| fault(e.to_string()))?;
        let _lock = self.locks.lock(uid.clone()).await;
        let (root, path, place) = (volume.path.clone(), PathBuf::from(sub_path), target.clone());
        let bind = move || sub_path::bind(&root, &path, &place);
        let bound = self.lanes.io(subject(&uid, volume_name), "bind subPath", bind).await;
        bound.map_err(|e| fault(e.to_string()))?;
        Ok(target)
    }

    async fn read_file(&self, volume: &MountedVolume, volume_name: &str, path: &str) -> Result<Vec<u8>, VolumeError> {
        let (root, path) = (volume.path.clone(), PathBuf::from(path));
        let read = move || beneath::read_beneath(beneath::open_root(&root)?, &path, MAX_ENV_FILE);
        let fault = |e: io::Error| VolumeError {
            volume: volume_name.to_owned(),
            message: e.to_string(),
            transient: true,
            attach_limit: false,
        };
        self.lanes.io(volume.path.to_string_lossy(), "read file", read).await.map_err(fault)
    }

    async fn tear_down(&self, uid: &PodUid) -> Result<bool, Vec<VolumeError>> {
        let fault = |message| VolumeError { volume: String::new(), message, transient: true, attach_limit: false };
        let dir = self.layout.pod(uid).map_err(|e| vec![fault(e.to_string())])?;
        let _lock = self.locks.lock(uid.clone()).await;
        let began = Instant::now();
        // A driver that is away keeps the whole pod's directory: unmounting behind its back would lose track of it.
        if let Some(drivers) = &self.drivers {
            let faults = drivers.unpublish_all(&dir).await;
            if !faults.is_empty() {
                self.count(&plugin_name(layout::plugin::CSI), "volume_unmount", false, began.elapsed());
                return Err(faults.iter().map(|(path, error)| fault(format!("{}: {error}", path.display()))).collect());
            }
        }
        // A set-up in progress would create it again after its removal.
        let of_pod = format!("{uid}/");
        let is_of_pod = |subject: &str| subject.starts_with(&of_pod);
        if let Some(busy) = self.lanes.busy_with(is_of_pod).or_else(|| self.long_lanes.busy_with(is_of_pod)) {
            return Err(vec![fault(busy.to_string())]);
        }
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let work = move || {
            let plugins = tear_down::plugins_of(&dir);
            let faults = tear_down::tear_down(&dir);
            (plugins, if faults.is_empty() { Ok(!dir.exists()) } else { Err(faults) })
        };
        let done = self.lanes.run(uid.as_str(), "tear down", work).await.map_err(|e| vec![fault(e.to_string())])?;
        let (plugins, done) = done;
        for plugin in plugins {
            self.count(&plugin_name(&plugin), "volume_unmount", done.is_ok(), began.elapsed());
        }
        done.map_err(|faults| faults.iter().map(|f| fault(f.to_string())).collect())
    }

    async fn known_pods(&self) -> Vec<PodUid> {
        let pods = self.layout.pods();
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let list = move || {
            let entries = std::fs::read_dir(pods).into_iter().flatten().flatten();
            entries.filter_map(|e| Some(PodUid::from(e.file_name().to_str()?))).collect()
        };
        self.lanes.run("pods", "list", list).await.unwrap_or_default()
    }
}

#[cfg(all(test, feature = "node-tests"))]
mod mount_tests;
#[cfg(test)]
mod tests;
