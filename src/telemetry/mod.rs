//! What the program says about itself: logs and metrics.
//!
//! [`logging::start`] is called once by each binary. [`Metrics`] is one shared value; everybody bumps its counters
//! directly, the server prints it.

mod buckets;
pub mod exposition;
pub mod instrument;
mod journal;
pub mod logging;
mod metrics;
pub mod panics;
pub mod process;

pub use metrics::Metrics;
