//! The pure core: values in, values out. No I/O, async, clock, randomness or environment.

pub mod model;
pub mod network;
