//! Traits through which the drivers reach the world, by the program that asks. Each states its contract; implementations are
//! in `adapters`, in-memory ones in `fakes`.

#![warn(missing_docs)]

pub mod bootstrap;
pub mod kubelet;
pub mod node;
