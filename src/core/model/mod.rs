//! Nouns that all rooms share.

mod ids;
pub mod labels;
mod pod;

pub use ids::{ContainerId, PodKey, PodUid, SandboxId};
pub use pod::{ContainerKind, PodSource, containers_of, key_of, uid_of};
