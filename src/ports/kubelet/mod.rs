//! Ports of the kubelet.

mod api;
mod cgroups;
mod credential_files;
mod events;
mod fetch;
mod machine;
mod manifests;
mod name_files;
mod node_credentials;
mod objects;
mod pod_files;
mod pod_units;
mod pods;
mod pull_records;
mod reviews;
mod runtime;
mod shutdown;
mod storage;
mod usage;
mod user_namespaces;
mod volumes;

pub use api::{CertificateApi, EventApi, NodeApi, PodApi, PodChange, PodWatch};
pub use cgroups::{CgroupError, Cgroups, PodCgroup};
pub use credential_files::{CredentialFiles, KubeconfigUser};
pub use events::{EventKind, EventTarget, Events};
pub use fetch::{Fetch, FetchError};
pub use machine::Machine;
pub use manifests::ManifestFiles;
pub use name_files::NameFiles;
pub use node_credentials::{DockerFile, NodeCredentials, PluginCall};
pub use objects::{ObjectChange, ObjectError, Objects, TokenRequest};
pub use pod_files::PodFiles;
pub use pod_units::{Journal, PodUnits, StopNotes};
pub use pods::{ContainerView, Lifecycle, PodView, Pods};
pub use pull_records::{PullRecords, RecordKind};
pub use reviews::{ReviewError, Reviews};
pub use runtime::{
    CgroupDriver, ContainerAccess, ContainerExec, ContainerStats, PodRuntime, RuntimeEvent, RuntimeInfo, RuntimeLaunch,
    ServerRuntime, StreamStdio,
};
pub use shutdown::{InhibitLock, ShutdownError, ShutdownRecord, ShutdownTimes, ShutdownWatch};
pub use storage::{NodeDriver, StorageApi};
pub use usage::{Usage, UsageDepth};
pub use user_namespaces::UserNamespaces;
pub use volumes::{MountedVolume, VolumeError, Volumes};
