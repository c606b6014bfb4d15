//! The pure core: values in, values out. No I/O, async, clock, randomness or environment.

#![warn(missing_docs)]

pub mod admission;
pub mod balancer;
pub mod bootstrap;
pub mod connections;
pub mod credentials;
pub mod evict;
pub mod exec_credential;
#[cfg(test)]
mod extremes;
pub mod gc;
pub mod host;
pub mod images;
pub mod logs;
pub mod manifest;
pub mod model;
pub mod network;
pub mod node;
pub mod plan;
pub mod pod_start;
pub mod probes;
pub mod render;
pub mod server;
pub mod shutdown;
pub mod start_limit;
pub mod static_units;
pub mod status;
pub mod usage;
pub mod yaml;
