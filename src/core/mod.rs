//! The pure core: values in, values out. No I/O, async, clock, randomness or environment.

pub mod bootstrap;
pub mod manifest;
pub mod model;
pub mod network;
pub mod render;
pub mod probes;
pub mod yaml;
pub mod logs;
pub mod server;
