//! Driver of the bootstrap commands: observes facts, makes a plan, and prints or applies it.

mod apply;
pub mod certificates;
pub mod cis;
mod conditions;
mod credentials;
pub mod discovery;
mod error;
pub mod etcd;
mod images;
pub mod join;
mod keys;
mod kubelets;
mod manifest_preview;
pub mod manifest_sets;
mod member_address;
pub mod members;
mod objects;
mod observe;
mod owners;
mod pods;
mod ports;
pub mod renewal;
pub mod rotation;
mod run;
pub mod settle;
pub mod status;
pub mod tokens;
mod unit_text;
pub mod upgrade;
pub mod verify;

pub use error::StepError;
pub use ports::Ports;
pub use run::{RunError, RunOptions, run};
