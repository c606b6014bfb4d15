//! From one version to the next: what runs, whether the rules of skew allow the step, and the moves of one node.
//!
//! A control plane goes component by component, judged by whether the pod of the new manifest is healthy. What was there
//! before is kept until everything is healthy, so that a run that was interrupted can still roll back.

pub mod difference;
pub mod moves;
pub mod observed;
pub mod plan;
pub mod running;
pub mod skew;

pub use moves::{Component, Facts as NodeFacts, Move, PodState, next};
pub use observed::{ObservedCluster, ObservedComponent, ObservedMember, ObservedNode, derive_cluster};
pub use plan::{UpgradePlan, Wanted, derive_plan, render_text};
pub use skew::Fault;
