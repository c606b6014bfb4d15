//! Upgrades: what runs, whether the version-skew policy allows the step, and the moves of one node.
//!
//! A control plane is upgraded component by component; each must become healthy with its new manifest. The previous
//! manifests are kept until everything is healthy, so that an interrupted run can still roll back.

pub mod difference;
pub mod moves;
pub mod observed;
pub mod plan;
pub mod running;
pub mod skew;

pub use moves::{Facts as NodeFacts, Move, PodState, Replacement, next};
pub use observed::{ObservedCluster, ObservedComponent, ObservedMember, ObservedNode, derive_cluster};
pub use plan::{UpgradePlan, Wanted, derive_plan, render_text};
pub use skew::Fault;
