//! Pods that exceed their limits of local storage: emptyDir sizes and ephemeral-storage limits.

use k8s_openapi::api::core::v1::Pod;

use super::message::show_bytes;
use crate::core::model::Amount;
use crate::core::model::totals::{container_limit, pod_limits};
use crate::core::model::usage::{FsUsage, PodUsage};

const STORAGE: &str = "ephemeral-storage";

/// True if the pod limits its local storage; other pods need not be measured.
pub fn has_local_limit(pod: &Pod) -> bool {
    let sized = pod
        .spec
        .iter()
        .flat_map(|s| s.volumes.iter().flatten())
        .any(|v| v.empty_dir.as_ref().is_some_and(|e| e.size_limit.is_some()));
    sized || pod_limits(pod, false).contains_key(STORAGE)
}

/// A limit on local storage that a pod exceeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalExcess {
    /// Its signal in the metrics (upstream `signalEmptyDirFsLimit` and its like).
    pub signal: &'static str,
    /// Text of the event and of the pod's status.
    pub message: String,
}

/// What the pod exceeds, if it has to go. `dedicated_image_fs` says that writable layers are on another
/// file system than the kubelet's directory.
pub fn exceeds_local_limit(pod: &Pod, usage: &PodUsage, dedicated_image_fs: bool) -> Option<LocalExcess> {
    let excess = |signal, message| Some(LocalExcess { signal, message });
    let spec = pod.spec.as_ref()?;
    for volume in spec.volumes.iter().flatten() {
        let limit = volume.empty_dir.as_ref().and_then(|e| e.size_limit.as_ref()).map(|q| (q, bytes(Amount::of(q))));
        let used = usage.volumes.iter().find(|v| v.name == volume.name).and_then(|v| v.fs.used_bytes);
        if let (Some((text, limit)), Some(used)) = (limit, used)
            && limit > 0
            && used > limit
        {
            let message = format!("Usage of EmptyDir volume {:?} exceeds the limit {:?}. ", volume.name, text.0);
            return excess("emptydirfs.limit", message);
        }
    }
    if let Some(limit) = pod_limits(pod, false).get(STORAGE).copied().map(bytes)
        && usage.ephemeral_storage.as_ref().and_then(|s| s.used_bytes).unwrap_or(0) > limit
    {
        let limit = show_bytes(limit);
        let message = format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. ");
        return excess("ephemeralpodfs.limit", message);
    }
    for container in &spec.containers {
        let Some(limit) = container_limit(container, STORAGE).map(bytes).filter(|limit| *limit > 0) else { continue };
        let Some(found) = usage.containers.iter().find(|c| c.name == container.name) else { continue };
        let of = |fs: &Option<FsUsage>| fs.as_ref().and_then(|fs| fs.used_bytes).unwrap_or(0);
        let rootfs = if dedicated_image_fs { 0 } else { of(&found.rootfs) };
        let used = of(&found.logs).saturating_add(rootfs);
        if used > limit {
            let (name, limit) = (&container.name, show_bytes(limit));
            let message = format!("Container {name} exceeded its local ephemeral storage limit {limit:?}. ");
            return excess("ephemeralcontainerfs.limit", message);
        }
    }
    None
}

fn bytes(amount: Amount) -> u64 {
    u64::try_from(amount.units()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::usage::{ContainerUsage, PodReference, VolumeUsage};
    use jiff::Timestamp;

    fn fs(used: u64) -> FsUsage {
        FsUsage {
            time: Timestamp::UNIX_EPOCH,
            available_bytes: None,
            capacity_bytes: None,
            used_bytes: Some(used),
            inodes_free: None,
            inodes: None,
            inodes_used: None,
        }
    }

    fn usage(volume: u64, layer: u64, logs: u64) -> PodUsage {
        let time = Timestamp::UNIX_EPOCH;
        PodUsage {
            pod_ref: PodReference { name: "p".into(), namespace: "n".into(), uid: "u".into() },
            start_time: time,
            containers: vec![ContainerUsage {
                name: "c".into(),
                start_time: time,
                cpu: None,
                memory: None,
                io: None,
                rootfs: Some(fs(layer)),
                logs: Some(fs(logs)),
                swap: None,
            }],
            cpu: None,
            memory: None,
            io: None,
            network: None,
            volumes: vec![VolumeUsage { fs: fs(volume), name: "v".into(), pvc_ref: None, local_ephemeral: true }],
            ephemeral_storage: Some(fs(volume + layer + logs)),
            processes: None,
            swap: None,
        }
    }

    fn pod(limits: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({"spec": {
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Ki"}}],
            "containers": [{"name": "c", "resources": {"limits": limits}}, {"name": "d", "resources": {"limits": limits}}]}}))
        .expect("a pod")
    }

    #[test]
    fn each_limit_has_its_message() {
        let (unlimited, limited) = (pod(serde_json::json!({})), pod(serde_json::json!({"ephemeral-storage": "2Ki"})));
        assert!(has_local_limit(&unlimited));
        let excess = |pod: &Pod, usage| {
            exceeds_local_limit(pod, &usage, false).map(|excess| format!("{}: {}", excess.signal, excess.message))
        };
        assert_eq!(excess(&unlimited, usage(1024, 9999, 9999)), None);
        assert_eq!(
            excess(&unlimited, usage(1025, 0, 0)).as_deref(),
            Some("emptydirfs.limit: Usage of EmptyDir volume \"v\" exceeds the limit \"1Ki\". ")
        );
        assert_eq!(
            excess(&limited, usage(1000, 3000, 97)).as_deref(),
            Some("ephemeralpodfs.limit: Pod ephemeral local storage usage exceeds the total limit of containers 4Ki. ")
        );
        assert_eq!(
            excess(&limited, usage(0, 2000, 49)).as_deref(),
            Some("ephemeralcontainerfs.limit: Container c exceeded its local ephemeral storage limit \"2Ki\". ")
        );
        assert_eq!(exceeds_local_limit(&limited, &usage(0, 2000, 49), true), None);
    }
}
