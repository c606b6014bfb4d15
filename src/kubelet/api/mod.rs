//! This node's pods in the API: the shared copy of them, and the mirror pods of static pods.

pub mod mirrors;
pub mod pods;
