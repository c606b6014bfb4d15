//! Arguments as the user types them, and the only writer to stdout and stderr.

pub mod agent;
pub mod kubelet;
pub mod token;
