//! Volume mounts and devices of a container (upstream `makeMounts` in `pkg/kubelet/kubelet_pods.go`).

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::error::fail;
use super::{ContainerInputs, Error, NodeContext, PodContext, expand};
use crate::cri;

const ETC_HOSTS: &str = "/etc/hosts";

/// A sub-path of a volume that has to be bind-mounted safely before the container is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubPath {
    /// Index of the volume mount in the container.
    pub index: usize,
    /// Name of the volume in `spec.volumes`.
    pub volume: String,
    /// Relative path without `..`.
    pub path: String,
}

/// Sub-paths of a container's mounts, `subPathExpr` expanded; those of image volumes are left to the runtime.
pub fn sub_paths(ctx: &PodContext<'_>, container: &Container, env: &[(String, String)]) -> Result<Vec<SubPath>, Error> {
    let mut list = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let Some(path) = sub_path_of(mount, env)? else { continue };
        if ctx.volumes.get(&mount.name).is_some_and(|v| v.image.is_none()) {
            list.push(SubPath { index, volume: mount.name.clone(), path });
        }
    }
    Ok(list)
}

fn sub_path_of(mount: &VolumeMount, env: &[(String, String)]) -> Result<Option<String>, Error> {
    let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
    let path = if expression.is_empty() {
        mount.sub_path.clone().unwrap_or_default()
    } else {
        let mut missing = std::collections::BTreeSet::new();
        // Later entries win, as in the process.
        let env: BTreeMap<&str, &str> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let path = expand(expression, |name| {
            let value = env.get(name).copied().unwrap_or_default();
            if value.is_empty() {
                missing.insert(name.to_owned());
            }
            Some(value)
        });
        let path = path.map_err(|error| fail!("subPathExpr {error}"))?;
        if !missing.is_empty() {
            let names: Vec<_> = missing.into_iter().collect();
            return Err(fail!("missing value for {}", names.join(", ")));
        }
        path
    };
    if path.starts_with('/') {
        return Err(fail!("error SubPath `{path}` must not be an absolute path"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(fail!("unable to provision SubPath `{path}`: must not contain '..'"));
    }
    Ok((!path.is_empty()).then_some(path))
}

/// All mounts of a container: assigned ones, volumes, the hosts file, the termination message.
pub fn mounts(
    node: &NodeContext,
    ctx: &PodContext<'_>,
    inputs: &ContainerInputs<'_>,
) -> Result<Vec<cri::Mount>, Error> {
    let container = inputs.container;
    let mut mounts = inputs.grant.mounts.clone();
    let own = container.volume_mounts.as_deref().unwrap_or_default();
    for (index, mount) in own.iter().enumerate() {
        mounts.push(volume_mount(node, ctx, inputs, index, mount)?);
    }
    let file = |path: &Path, container_path: &str| cri::Mount {
        container_path: absolute(container_path),
        host_path: path.to_string_lossy().into_owned(),
        selinux_relabel: node.selinux,
        ..cri::Mount::default()
    };
    if !own.iter().any(|m| m.mount_path == ETC_HOSTS) {
        mounts.extend(inputs.hosts_file.map(|path| file(path, ETC_HOSTS)));
    }
    let message_path = container.termination_message_path.as_deref().filter(|p| !p.is_empty());
    if let (Some(path), Some(inside)) = (inputs.termination_file, message_path) {
        mounts.push(file(path, inside));
    }
    if let Some(mapping) = ctx.user_namespace {
        for mount in &mut mounts {
            mount.uid_mappings.clone_from(&mapping.uids);
            mount.gid_mappings.clone_from(&mapping.gids);
        }
    }
    Ok(mounts)
}

fn volume_mount(
    node: &NodeContext,
    ctx: &PodContext<'_>,
    inputs: &ContainerInputs<'_>,
    index: usize,
    mount: &VolumeMount,
) -> Result<cri::Mount, Error> {
    let unknown = || fail!("cannot find volume {:?} to mount into container {:?}", mount.name, inputs.container.name);
    let volume = ctx.volumes.get(&mount.name).filter(|v| !v.block).ok_or_else(unknown)?;
    let sub_path = sub_path_of(mount, inputs.env)?;
    let image = inputs.image_volumes.get(&mount.name);
    let (host_path, image_sub_path) = match (&volume.image, sub_path) {
        (Some(_), sub_path) => (Path::new(""), sub_path.unwrap_or_default()),
        (None, None) => (volume.path.as_path(), String::new()),
        (None, Some(_)) => {
            let path = inputs.sub_paths.get(&index).ok_or_else(|| {
                fail!(
                    "failed to prepare subPath for volumeMount {:?} of container {:?}",
                    mount.name,
                    inputs.container.name
                )
            })?;
            (path.as_path(), String::new())
        }
    };
    if volume.image.is_some() && image.is_none() {
        return Err(unknown());
    }
    let recursive_read_only = recursive_read_only(mount, ctx.recursive_read_only)
        .map_err(|e| fail!("failed to resolve recursive read-only mode: {e}"))?;
    Ok(cri::Mount {
        container_path: absolute(&mount.mount_path),
        host_path: host_path.to_string_lossy().into_owned(),
        readonly: mount.read_only.unwrap_or_default() || volume.read_only,
        selinux_relabel: node.selinux && volume.selinux_relabel,
        propagation: propagation(mount)? as i32,
        recursive_read_only,
        image: image.cloned(),
        image_sub_path,
        ..cri::Mount::default()
    })
}

fn propagation(mount: &VolumeMount) -> Result<cri::MountPropagation, Error> {
    match mount.mount_propagation.as_deref() {
        None | Some("None") => Ok(cri::MountPropagation::PropagationPrivate),
        Some("HostToContainer") => Ok(cri::MountPropagation::PropagationHostToContainer),
        Some("Bidirectional") => Ok(cri::MountPropagation::PropagationBidirectional),
        Some(other) => Err(fail!("invalid MountPropagation mode: {other:?}")),
    }
}

fn recursive_read_only(mount: &VolumeMount, supported: bool) -> Result<bool, Error> {
    let name = &mount.name;
    let mode = match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => return Ok(false),
        Some(mode) => mode,
    };
    if mount.read_only != Some(true) {
        return Err(fail!("volume {name:?} requested recursive read-only mode, but it is not read-only"));
    }
    if let Some(propagation) = mount.mount_propagation.as_deref().filter(|p| *p != "None") {
        return Err(fail!(
            "volume {name:?} requested recursive read-only mode, but it is not compatible with propagation {propagation:?}"
        ));
    }
    match mode {
        "IfPossible" => Ok(supported),
        "Enabled" if supported => Ok(true),
        "Enabled" => {
            Err(fail!("volume {name:?} requested recursive read-only mode, but it is not supported by the runtime"))
        }
        other => Err(fail!("unknown recursive read-only mode {other:?}")),
    }
}

/// Block volumes and assigned devices.
pub fn devices(ctx: &PodContext<'_>, inputs: &ContainerInputs<'_>) -> Result<Vec<cri::Device>, Error> {
    let mut devices = inputs.grant.devices.clone();
    for device in inputs.container.volume_devices.iter().flatten() {
        if !device.device_path.starts_with('/') {
            return Err(fail!("error DevicePath `{}` must be an absolute path", device.device_path));
        }
        let volume = ctx.volumes.get(&device.name).filter(|v| v.block).ok_or_else(|| {
            fail!("cannot find volume {:?} to pass into container {:?}", device.name, inputs.container.name)
        })?;
        devices.push(cri::Device {
            container_path: device.device_path.clone(),
            host_path: volume.path.to_string_lossy().into_owned(),
            permissions: if volume.read_only { "r" } else { "mrw" }.to_owned(),
        });
    }
    Ok(devices)
}

/// A relative path in a container is relative to its root.
fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
