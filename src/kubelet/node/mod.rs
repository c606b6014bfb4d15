//! The node's own tasks: registration and status ([`status::NodeReporter`]), lease ([`lease::LeaseKeeper`]).

pub mod lease;
pub mod register;
mod startup;
pub mod status;
#[cfg(all(test, feature = "fakes"))]
mod tests;
