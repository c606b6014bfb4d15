//! The source of a pod's volume, after every object it refers to has been read.

use std::path::PathBuf;

use super::payload::Payload;
use crate::adapters::csi::{CsiSource, Refusal};
use crate::ports::kubelet::ObjectError;

/// Why a volume cannot be set up.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Message for the event.
    pub message: String,
    /// True if it may be resolved by waiting.
    pub transient: bool,
    /// True if the limit of volumes on the node is reached.
    pub attach_limit: bool,
}

impl SourceError {
    /// A fault of the pod or its objects that remains until somebody changes them.
    pub fn lasting(message: impl Into<String>) -> Self {
        Self { message: message.into(), transient: false, attach_limit: false }
    }

    /// A fault that may resolve itself.
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), transient: true, attach_limit: false }
    }
}

impl From<Refusal> for SourceError {
    fn from(refusal: Refusal) -> Self {
        let attach_limit = matches!(refusal, Refusal::AttachLimit(_));
        Self { message: refusal.to_string(), transient: true, attach_limit }
    }
}

impl From<ObjectError> for SourceError {
    fn from(error: ObjectError) -> Self {
        let transient = !matches!(error, ObjectError::Standalone { .. });
        Self { message: error.to_string(), transient, attach_limit: false }
    }
}

/// Where an emptyDir is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// On the node's disk.
    Disk,
    /// In a tmpfs of at most this many bytes.
    Memory(Option<u64>),
    /// In huge pages of this many bytes each.
    HugePages(u64),
}

/// The source of a volume.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A directory that is created empty for the pod.
    EmptyDir(Medium),
    /// Files written by the kubelet; in memory, or on disk for configMaps.
    Content { plugin: &'static str, medium: Medium, payload: Payload },
    /// A path of the node, with the type it must have.
    HostPath { path: PathBuf, kind: String, read_only: bool },
    /// An image: reference and pull policy.
    Image(String, Option<String>),
    /// A path or block device of the node from a local persistent volume; `name` is the volume's.
    Local {
        name: String,
        path: PathBuf,
        block: bool,
        fs_type: Option<String>,
        options: Vec<String>,
        read_only: bool,
        groups: Vec<i64>,
    },
    /// A directory of an NFS server.
    Nfs { name: String, server: String, path: String, options: Vec<String>, read_only: bool, groups: Vec<i64> },
    /// A volume of a storage driver.
    Csi { source: Box<CsiSource>, groups: Vec<i64> },
}

impl Source {
    /// The plugin as upstream's metrics name it, with the driver of a storage driver's volume.
    pub fn plugin_name(&self) -> String {
        match self {
            Self::EmptyDir(_) => "kubernetes.io/empty-dir".into(),
            Self::Content { plugin, .. } => plugin.replace('~', "/"),
            Self::HostPath { .. } => "kubernetes.io/host-path".into(),
            Self::Image(..) => "kubernetes.io/image".into(),
            Self::Local { .. } => "kubernetes.io/local-volume".into(),
            Self::Nfs { .. } => "kubernetes.io/nfs".into(),
            Self::Csi { source, .. } => format!("kubernetes.io/csi:{}", source.driver),
        }
    }
}

/// A hostPath without tricks: absolute, no `..`.
pub fn host_path(path: &str, kind: String, read_only: bool) -> Result<Source, SourceError> {
    if path.split('/').any(|part| part == "..") {
        return Err(SourceError::lasting(format!("invalid HostPath `{path}`: must not contain '..'")));
    }
    Ok(Source::HostPath { path: PathBuf::from(path), kind, read_only })
}
