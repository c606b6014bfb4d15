//! Roost.
/// CRI v1.
#[allow(missing_docs)]
pub mod v1 { tonic::include_proto!("runtime.v1"); }
