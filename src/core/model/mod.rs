//! Nouns that all rooms share.

pub mod access;
pub mod cgroup;
pub mod cgroup_sample;
mod check;
mod critical;
mod desired;
pub mod field;
mod ids;
pub mod kubelet_spec;
pub mod labels;
mod observed;
mod manifest_file;
mod pod;
mod probe;
mod stdio;
pub mod usage;
mod quantity;
pub mod totals;
mod volume;
mod secret;
pub mod spec;

pub use check::{Check, CheckOutcome, HttpAnswer, HttpGet};
pub use critical::{is_critical, is_static, priority_of};
pub use desired::{DesiredPod, DesiredSet, PodKill, Rejection, SourceKind, Verdict};
pub use ids::{ContainerId, PodKey, PodUid, SandboxId};
pub use kubelet_spec::KubeletSpec;
pub use observed::{Observed, ObservedContainer, ObservedSandbox, RunState};
pub use manifest_file::{MAX_MANIFEST_BYTES, ReadFile, is_manifest_name};
pub use pod::{ContainerKind, PodSource, containers_of, key_of, uid_of};
pub use secret::Secret;
pub use probe::{ContainerProbes, ProbeResult, ProbeResults, ProbeSubject, ProbedContainer};
pub use quantity::Amount;
pub use totals::{QosClass, qos_class};
pub use volume::MountedVolume;
pub use stdio::StreamStdio;
