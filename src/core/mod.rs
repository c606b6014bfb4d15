//! The pure core: values in, values out. No I/O, async, clock, randomness or environment.

pub mod bootstrap;
pub mod credentials;
pub mod manifest;
pub mod images;
pub mod model;
pub mod network;
pub mod node;
pub mod probes;
pub mod yaml;
pub mod logs;
pub mod server;
pub mod render;
pub mod admission;
pub mod evict;
pub mod gc;
pub mod plan;
pub mod status;
pub mod usage;
pub mod shutdown;
