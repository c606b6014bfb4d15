//! Driver of the bootstrap phases: gathers facts, plans, prints or applies.

pub mod discovery;
pub mod join;
pub mod tokens;
