//! Translates the driver's object and the pod into the driver's terms for a volume. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::storage::v1::{CSIDriverSpec, VolumeError};
use tonic::{Code, Status};

use super::driver::Abilities;
use super::proto::csi::VolumeCapability;
use super::proto::csi::volume_capability::access_mode::Mode;
use super::proto::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use super::record::{EPHEMERAL, PERSISTENT};
use super::source::CsiSource;
use crate::core::model::{key_of, uid_of};

/// True if a volume has to be attached to the node before it is mounted.
pub fn is_attached(source: &CsiSource, settings: Option<&CSIDriverSpec>) -> bool {
    !source.inline && settings.and_then(|s| s.attach_required) != Some(false)
}

/// An error if the driver's object does not allow volumes of this lifecycle.
pub fn check_lifecycle(source: &CsiSource, settings: Option<&CSIDriverSpec>) -> Result<(), String> {
    let wanted = if source.inline { EPHEMERAL } else { PERSISTENT };
    let modes = settings.and_then(|s| s.volume_lifecycle_modes.as_deref()).unwrap_or_default();
    // Drivers without an object, or without modes in it, support persistent volumes only.
    let allowed = if modes.is_empty() { !source.inline } else { modes.iter().any(|m| m == wanted) };
    let driver = &source.driver;
    if allowed { Ok(()) } else { Err(format!("volume mode {wanted:?} not supported by driver {driver}")) }
}

/// The volume capability that the pod needs.
pub fn capability(source: &CsiSource, abilities: Abilities, group: Option<i64>) -> VolumeCapability {
    let mode = match source.access_modes.first().map_or("ReadWriteOnce", String::as_str) {
        "ReadOnlyMany" => Mode::MultiNodeReaderOnly,
        "ReadWriteMany" => Mode::MultiNodeMultiWriter,
        "ReadWriteOncePod" if abilities.single_writer_modes => Mode::SingleNodeSingleWriter,
        _ if abilities.single_writer_modes => Mode::SingleNodeMultiWriter,
        _ => Mode::SingleNodeWriter,
    };
    let access_type = match source.block {
        true => AccessType::Block(BlockVolume {}),
        false => AccessType::Mount(MountVolume {
            fs_type: source.fs_type.clone(),
            mount_flags: source.mount_options.clone(),
            volume_mount_group: group.map(|g| g.to_string()).unwrap_or_default(),
        }),
    };
    VolumeCapability { access_mode: Some(AccessMode { mode: mode as i32 }), access_type: Some(access_type) }
}

/// True if the driver's `fsGroupPolicy` leaves the group to the kubelet.
pub fn kubelet_applies_group(source: &CsiSource, settings: Option<&CSIDriverSpec>) -> bool {
    match settings.and_then(|s| s.fs_group_policy.as_deref()).unwrap_or("ReadWriteOnceWithFSType") {
        _ if source.read_only || source.block => false,
        "File" => true,
        "None" => false,
        _ => !source.fs_type.is_empty() && (source.inline || source.access_modes.iter().any(|m| is_of_one(m))),
    }
}

/// True for a mode in which one node writes (upstream `hasReadWriteOnce`).
fn is_of_one(mode: &str) -> bool {
    mode == "ReadWriteOnce" || mode == "ReadWriteOncePod"
}

/// True if only one pod may use the volume. With several modes it is unknown which one the pod means.
pub fn is_of_one_pod(source: &CsiSource) -> bool {
    source.access_modes == ["ReadWriteOncePod"]
}

/// True if an attachment failed because the limit of volumes is reached, if the driver reports that (upstream
/// `VerifyExhaustedResource`).
pub fn is_limit_exceeded(error: &VolumeError, settings: Option<&CSIDriverSpec>) -> bool {
    update_period(settings).is_some() && error.error_code == Some(Code::ResourceExhausted as i32)
}

/// How often the driver should be asked for the limit of volumes; `None` for once, when it registers.
pub fn update_period(settings: Option<&CSIDriverSpec>) -> Option<Duration> {
    let seconds = settings.and_then(|s| s.node_allocatable_update_period_seconds)?;
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// Information about the pod for a driver with `podInfoOnMount`.
pub fn pod_info(pod: &Pod, inline: bool) -> BTreeMap<String, String> {
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

/// True if a driver's error when growing a volume is permanent (upstream `isInfeasibleError`).
pub fn is_infeasible(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::OutOfRange | Code::NotFound)
}
