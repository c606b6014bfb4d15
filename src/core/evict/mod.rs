//! Node-pressure eviction: thresholds, signals, and which pods are evicted (upstream `pkg/kubelet/eviction`).
//!
//! [`PressureState::observe`] derives node conditions and exceeded thresholds from the available amount of each
//! resource; [`rank()`] orders pods for eviction; [`exceeds_local_limit`] finds pods that exceed their local storage.

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
