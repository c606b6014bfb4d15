//! What a restore drill found, as it is kept on the node.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::model::spec::Spec;

/// Result of the last drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillResult {
    /// When it finished.
    pub at: Timestamp,
    /// The snapshot; `None` when there was none.
    pub snapshot: Option<PathBuf>,
    /// What an etcd with its data reported; `None` if none started.
    pub contents: Option<DrillContents>,
    /// Why it cannot be restored; `None` if it can.
    pub fault: Option<String>,
}

/// What is in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillContents {
    /// Size of the snapshot, bytes.
    pub size: u64,
    /// Revision of the newest write.
    pub revision: i64,
    /// Keys that are there.
    pub keys: i64,
    /// Hash over every key and value of every revision: all of it could be read.
    pub hash: u32,
    /// How long it took until etcd answered, milliseconds.
    pub millis: u64,
}

/// Where a node keeps the result: beside its snapshots.
pub fn result_file(spec: &Spec) -> PathBuf {
    spec.node.paths.snapshots.join(format!("drill-{}.json", spec.node.name))
}

/// A key that every cluster has.
pub fn known_key(spec: &Spec) -> String {
    let flags = spec.cluster.extra_args.get("kube-apiserver");
    let prefix = flags.and_then(|flags| flags.get("etcd-prefix")).map_or("/registry", String::as_str);
    format!("/{}/namespaces/kube-system", prefix.trim_matches('/'))
}
