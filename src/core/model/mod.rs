//! Nouns that all rooms share.

pub mod access;
mod check;
mod desired;
mod ids;
pub mod labels;
mod pod;
mod probe;
pub mod usage;

pub use check::{Check, CheckOutcome, HttpAnswer, HttpGet};
pub use desired::{DesiredPod, DesiredSet, PodKill, Rejection, SourceKind, Verdict};
pub use ids::{ContainerId, PodKey, PodUid, SandboxId};
pub use pod::{ContainerKind, PodSource, containers_of, key_of, uid_of};
pub use probe::{ContainerProbes, ProbeResult, ProbeResults, ProbeSubject, ProbedContainer};
