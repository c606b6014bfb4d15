//! Driver of the bootstrap phases: gathers facts, plans, prints or applies.

pub mod certificates;
pub mod discovery;
pub mod join;
pub mod status;
pub mod tokens;
mod apply;
mod conditions;
mod credentials;
mod error;
mod images;
mod objects;
mod observe;
mod pods;
mod ports;
mod run;

pub use error::StepError;
pub use ports::Ports;
pub use run::{RunError, RunOptions, run};

