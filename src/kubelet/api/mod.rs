//! This node's pods at the API server: the shared copy of them, and the mirrors of static pods.

pub mod mirrors;
pub mod pods;
