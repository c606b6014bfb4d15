//! Traits through which the drivers access the outside world, by the program that uses them. Each states its contract;
//! implementations are in `adapters`, in-memory ones in `fakes`.

#![warn(missing_docs)]

pub mod bootstrap;
pub mod kubelet;
pub mod node;
