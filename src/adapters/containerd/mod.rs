//! containerd's own API, for what CRI does not have: importing images.
//!
//! The content store and the image service are used, not the transfer service, which containerd 1.6 lacks.

pub(crate) mod archive;
pub(crate) mod blob;
mod store;

pub use store::{ContainerdImages, NAMESPACE};
