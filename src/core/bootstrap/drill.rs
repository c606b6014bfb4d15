//! The result of a restore drill, as it is kept on the node.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::model::spec::{Component, Spec};

/// Result of the last drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillResult {
    /// When the drill finished.
    pub at: Timestamp,
    /// Id of the cluster that the drill was for; `None` if the API did not say it then.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The snapshot that was restored; `None` if there was none.
    pub snapshot: Option<PathBuf>,
    /// What an etcd started with its data reported; `None` if it did not start.
    pub contents: Option<DrillContents>,
    /// Why the snapshot cannot be restored; `None` if it can.
    pub fault: Option<String>,
}

/// What is in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillContents {
    /// Size of the snapshot, bytes.
    pub size: u64,
    /// Revision of the latest write.
    pub revision: i64,
    /// Number of keys that exist at that revision.
    pub keys: i64,
    /// etcd's hash over every key and value of every revision; proves that all of it is readable.
    pub hash: u32,
    /// Time from the start of etcd to its first response, milliseconds.
    pub millis: u64,
}

/// Where a node keeps the result: beside its snapshots.
pub fn result_file(spec: &Spec) -> PathBuf {
    spec.node.paths.snapshots.join(format!("drill-{}.json", spec.node.name))
}

/// A key that every cluster has.
pub fn known_key(spec: &Spec) -> String {
    let flags = spec.cluster.extra_args.get(Component::ApiServer.name());
    let prefix = flags.and_then(|flags| flags.get("etcd-prefix")).map_or("/registry", String::as_str);
    format!("/{}/namespaces/kube-system", prefix.trim_matches('/'))
}
