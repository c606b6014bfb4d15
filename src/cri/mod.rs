//! CRI v1: messages generated from the vendored `api.proto` of cri-api v0.36.3.
//!
//! The messages are plain values, so every room may use them, like the Kubernetes API types; only
//! [`crate::adapters::cri`] uses the generated clients.

#[allow(clippy::all, clippy::unwrap_used, rustdoc::all)]
mod generated {
    tonic::include_proto!("runtime.v1");
}

pub use generated::*;
