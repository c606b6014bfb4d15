//! Storage drivers on the node: registration, and volumes for pods (CSI 1.x).
//!
//! `csi.proto` is from container-storage-interface/spec v1.9.0, `registration.proto` from k8s.io/kubelet v0.36.3.

mod driver;
mod drivers;
mod layout;
mod limits;
mod place;
pub(crate) mod record;
mod registration;
mod source;
mod terms;
mod volume;

/// Generated messages and services. Public for the test driver (`tests/nodes/csi-driver.rs`).
#[allow(dead_code, clippy::all, clippy::unwrap_used, rustdoc::all)]
pub mod proto {
    pub mod csi {
        tonic::include_proto!("csi.v1");
    }
    pub mod registration {
        tonic::include_proto!("pluginregistration");
    }
}

pub use drivers::Drivers;
pub use layout::PLUGIN;
pub use limits::AttachLimits;
pub use registration::Registrar;
pub use source::CsiSource;
pub use volume::{CsiVolumes, Published, Refusal};

#[cfg(test)]
mod sharing_tests;
#[cfg(test)]
mod tests;
