//! Driver of the bootstrap commands: observes facts, makes a plan, and prints or applies it.

mod api;
pub mod apply_settings;
pub mod certificates;
pub mod cis;
mod cluster_identity;
pub mod commands;
pub mod discovery;
mod error;
pub mod etcd;
pub mod join;
pub mod kept;
mod kubelets;
mod manifest_preview;
pub mod manifest_sets;
mod observe;
mod pods;
mod ports;
mod read_text;
pub mod renewal;
pub mod rotation;
mod run;
pub mod status;
mod steps;
pub mod tokens;
mod unit_text;
pub mod upgrade;
pub mod verify;

pub use api::{ConnectError, administrator};
pub use error::{StepError, TimedOut};
pub use ports::Ports;
pub use run::{RunError, RunOptions, run};
