//! Configuration: raw file → validated settings, every fault reported at once.

pub mod cluster;
pub mod kubelet;
