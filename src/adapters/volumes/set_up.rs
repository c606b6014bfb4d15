//! Sets up one volume on the node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::layout::{Layout, plugin, subject};
use super::nested::nested_mount_points;
use super::ownership::{self, Ownership};
use super::payload::Payload;
use super::source::{Medium, Source, SourceError};
use super::{atomic_writer, device, empty_dir, host_path, nfs};
use crate::adapters::csi::{CsiSource, CsiVolumes};
use crate::adapters::fs::{beneath, mounts};
use crate::adapters::keyed_lock::KeyedLock;
use crate::core::model::{MountedVolume, PodUid, uid_of};
use crate::offload::Lanes;

/// What is needed about the pod, apart from the volume's source.
pub struct Request {
    layout: Layout,
    lanes: Lanes,
    long_lanes: Lanes,
    devices: Arc<KeyedLock<PathBuf>>,
    uid: PodUid,
    volume: String,
    group: Option<u32>,
    only_on_root_mismatch: bool,
    nested: Vec<PathBuf>,
}

impl Request {
    /// For one volume of a pod; `long_lanes` for work on each of its files.
    pub fn new(
        layout: &Layout,
        (lanes, long_lanes): (&Lanes, &Lanes),
        devices: &Arc<KeyedLock<PathBuf>>,
        pod: &Pod,
        volume: &str,
    ) -> Self {
        let context = pod.spec.as_ref().and_then(|s| s.security_context.as_ref());
        Self {
            layout: layout.clone(),
            lanes: lanes.clone(),
            long_lanes: long_lanes.clone(),
            devices: Arc::clone(devices),
            uid: uid_of(pod),
            volume: volume.to_owned(),
            group: context.and_then(|c| c.fs_group).and_then(|g| u32::try_from(g).ok()),
            only_on_root_mismatch: context.and_then(|c| c.fs_group_change_policy.as_deref()) == Some("OnRootMismatch"),
            nested: nested_mount_points(pod, volume),
        }
    }

    /// Ownership of volumes without a change policy.
    fn always(&self, read_only: bool) -> Option<Ownership> {
        self.group.map(|group| Ownership { group, only_on_root_mismatch: false, read_only })
    }

    fn subject(&self) -> String {
        subject(&self.uid, &self.volume)
    }

    fn path(&self, plugin: &str, name: &str) -> Result<PathBuf, SourceError> {
        self.layout.volume(&self.uid, plugin, name).map_err(|e| SourceError::lasting(e.to_string()))
    }

    fn ready(&self, name: &str) -> Result<PathBuf, SourceError> {
        self.layout.ready(&self.uid, name).map_err(|e| SourceError::lasting(e.to_string()))
    }
}

fn disk(error: std::io::Error) -> SourceError {
    SourceError::passing(error.to_string())
}

/// Makes a storage driver publish its volume, and changes the group if the driver does not.
async fn driver_volume(
    request: Request,
    drivers: Option<&CsiVolumes>,
    pod: &Pod,
    source: CsiSource,
    groups: Vec<i64>,
) -> Result<MountedVolume, SourceError> {
    let drivers = drivers.ok_or_else(|| SourceError::lasting("this kubelet runs without storage drivers"))?;
    let of_pod = match source.block {
        true => request.layout.device(&request.uid, plugin::CSI, &source.name),
        false => request.layout.volume(&request.uid, plugin::CSI, &source.name),
    };
    let of_pod = of_pod.map_err(|e| SourceError::lasting(e.to_string()))?;
    let published = drivers.publish(pod, &source, &of_pod).await?;
    if let (true, Some(group)) = (published.group_is_left, request.group) {
        let target = published.path.clone();
        let only_on_root_mismatch = request.only_on_root_mismatch;
        let ownership = Ownership { group, only_on_root_mismatch, read_only: source.read_only };
        let apply = move || ownership::apply(&target, ownership);
        request.long_lanes.io(request.subject(), "change group", apply).await.map_err(disk)?;
    }
    Ok(MountedVolume {
        path: published.path,
        read_only: source.read_only,
        selinux_relabel: !source.block,
        supplemental_groups: groups,
        block: source.block,
        ..MountedVolume::default()
    })
}

/// Sets the volume up. Idempotent.
pub async fn set_up(
    request: Request,
    drivers: Option<&CsiVolumes>,
    pod: &Pod,
    source: Source,
) -> Result<MountedVolume, SourceError> {
    match source {
        Source::EmptyDir(medium) => {
            let path = request.path(plugin::EMPTY_DIR, &request.volume)?;
            let (dir, ready) = (path.clone(), request.ready(&request.volume)?);
            let ownership = request.always(false);
            let make = move || empty_dir::set_up(&dir, &ready, &medium, ownership);
            request.lanes.io(request.subject(), "create directory", make).await.map_err(disk)?;
            Ok(MountedVolume { path, selinux_relabel: true, ..MountedVolume::default() })
        }
        Source::Csi { source, groups } => driver_volume(request, drivers, pod, *source, groups).await,
        Source::Content { plugin, medium, payload } => content(request, plugin, medium, payload).await,
        Source::HostPath { path, kind, read_only } => {
            let checked = path.clone();
            let check = move || host_path::check(&checked, &kind);
            let check = request.lanes.run(request.subject(), "stat the host path", check).await;
            check.map_err(|e| SourceError::passing(e.to_string()))?.map_err(SourceError::passing)?;
            Ok(MountedVolume { path, read_only, ..MountedVolume::default() })
        }
        Source::Image(reference, policy) => {
            Ok(MountedVolume { image: Some((reference, policy)), read_only: true, ..MountedVolume::default() })
        }
        Source::Local { path, block: true, read_only, .. } => {
            Ok(MountedVolume { path, block: true, read_only, ..MountedVolume::default() })
        }
        Source::Local { name, path, fs_type, options, read_only, groups, .. } => {
            local(request, &name, LocalVolume { path, fs_type, options, read_only }, groups).await
        }
        Source::Nfs { name, server, path, options, read_only, groups } => {
            let target = request.path(plugin::NFS, &name)?;
            let dir = target.clone();
            #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
            let prepare = move || {
                let mounted = mounts::is_mount_point(&dir)?;
                std::fs::create_dir_all(&dir).map(|()| mounted)
            };
            let mounted = request.lanes.io(request.subject(), "check for the mount", prepare).await;
            if !mounted.map_err(disk)? {
                nfs::mount(&server, &path, &options, read_only, &target).await.map_err(disk)?;
            }
            Ok(MountedVolume { path: target, read_only, supplemental_groups: groups, ..MountedVolume::default() })
        }
    }
}

async fn content(
    request: Request,
    plugin: &str,
    medium: Medium,
    payload: Payload,
) -> Result<MountedVolume, SourceError> {
    let path = request.path(plugin, &request.volume)?;
    let ready = request.ready(&format!("wrapped_{}", request.volume))?;
    let dir = path.clone();
    let (lanes, subject) = (request.lanes.clone(), request.subject());
    let write = move || {
        empty_dir::set_up(&dir, &ready, &medium, request.always(true))?;
        let root = beneath::open_root(&dir)?;
        for nested in &request.nested {
            beneath::make_dirs_beneath(&root, nested, 0o755)?;
        }
        let own = || request.always(true).map_or(Ok(()), |ownership| ownership::apply(&dir, ownership));
        atomic_writer::write(&dir, &payload, own)
    };
    lanes.io(subject, "write content", write).await.map_err(disk)?;
    Ok(MountedVolume { path, read_only: true, selinux_relabel: true, ..MountedVolume::default() })
}

/// The path of a local persistent volume.
struct LocalVolume {
    path: PathBuf,
    fs_type: Option<String>,
    options: Vec<String>,
    read_only: bool,
}

/// Bind-mounts the node's directory (or file) of a local persistent volume to the pod's path; a block device is mounted
/// there, after formatting an empty one (upstream `pkg/volume/local`).
async fn local(
    request: Request,
    name: &str,
    volume: LocalVolume,
    groups: Vec<i64>,
) -> Result<MountedVolume, SourceError> {
    let LocalVolume { path: source, fs_type, options, read_only } = volume;
    let path = request.path(plugin::LOCAL, name)?;
    let (named, target) = (source.clone(), path.clone());
    let look = move || Ok((device::device_at(&named)?, mounts::is_mount_point(&target)?));
    let (device, mounted) = request.lanes.io(request.subject(), "stat the local volume", look).await.map_err(disk)?;
    match device {
        _ if mounted => {}
        Some(device) => {
            // Two pods must not format it concurrently.
            let _lock = request.devices.lock(device.clone()).await;
            let mount = device::Mount { device, target: path.clone(), fs_type, options, read_only };
            mount.format_and_mount(&request.lanes, &request.subject()).await.map_err(disk)?;
        }
        None => {
            let target = path.clone();
            request.lanes.io(request.subject(), "bind", move || bind(&source, &target)).await.map_err(disk)?;
        }
    }
    let group =
        request.group.map(|group| Ownership { group, only_on_root_mismatch: request.only_on_root_mismatch, read_only });
    let target = path.clone();
    if read_only {
        let done =
            request.lanes.io(request.subject(), "remount read-only", move || mounts::make_read_only(&target)).await;
        done.map_err(disk)?;
    } else if let Some(ownership) = group.filter(|_| !mounted) {
        let apply = move || ownership::apply(&target, ownership);
        request.long_lanes.io(request.subject(), "change group", apply).await.map_err(disk)?;
    }
    Ok(MountedVolume {
        path,
        read_only,
        selinux_relabel: true,
        supplemental_groups: groups,
        ..MountedVolume::default()
    })
}

#[expect(clippy::disallowed_methods, reason = "for threads of offload::Lanes")]
fn bind(source: &Path, target: &Path) -> std::io::Result<()> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let handle = rustix::fs::open(source, flags, rustix::fs::Mode::empty())
        .map_err(|e| std::io::Error::other(format!("path {source:?} does not exist or cannot be opened: {e}")))?;
    std::fs::create_dir_all(target)?;
    mounts::bind(&handle, target)
}
