//! Logs and metrics.
//!
//! [`logging::start`] is called once by each program. [`Metrics`] is one shared value; all rooms increment its counters
//! directly, and the server prints it.

mod buckets;
pub mod exposition;
pub mod instrument;
mod journal;
pub mod logging;
mod metrics;
pub mod panics;
pub mod process;

pub use metrics::Metrics;
