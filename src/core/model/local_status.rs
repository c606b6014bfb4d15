//! What a kubelet tells of its static pods without any API server: one small JSON file, replaced in one move.

use serde::{Deserialize, Serialize};

/// Where the kubelet writes it. The folder goes with the machine's boot, so that what is read is of this boot.
pub const LOCAL_STATUS_FILE: &str = "/run/roost/kubelet/status.json";

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalStatus {
    /// Static pods, by namespace and name.
    pub pods: Vec<LocalPod>,
    /// Manifests that are refused, or whose last good content is kept.
    pub faults: Vec<ManifestFault>,
}

/// One static pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalPod {
    /// Namespace.
    pub namespace: String,
    /// Name, with the node's name as its suffix.
    pub name: String,
    /// Identity of the manifest that runs (annotation `kubernetes.io/config.hash`).
    pub config_hash: String,
    /// `Pending`, `Running`, `Succeeded` or `Failed`.
    pub phase: String,
    /// Condition Ready.
    pub ready: bool,
    /// How often its containers were started again.
    pub restarts: i32,
    /// The last error of the pod, empty when there is none.
    pub message: String,
}

/// What is wrong with one manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManifestFault {
    /// The file.
    pub path: String,
    /// What is wrong, with line and column where known.
    pub message: String,
}
