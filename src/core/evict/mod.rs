//! Node pressure: thresholds, signals, and who has to go (upstream `pkg/kubelet/eviction`).
//!
//! [`PressureState::observe`] turns what is left of each resource into node conditions and thresholds to act on;
//! [`rank()`] says in which order pods go; [`exceeds_local_limit`] finds pods that use more disk than they may.

mod local;
mod message;
mod pressure;
mod rank;
mod signal;
mod threshold;

pub use local::{LocalExcess, exceeds_local_limit, has_local_limit};
pub use message::{EvictionNotice, describe_eviction, show_bytes};
pub use pressure::PressureState;
pub use rank::{Candidate, rank};
pub use signal::{Observation, Observations, Signal, derive_observations, measured_at};
pub use threshold::{Amount, Threshold, parse_thresholds};
