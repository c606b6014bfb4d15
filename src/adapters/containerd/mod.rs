//! containerd's own API, for what CRI does not offer: importing images.
//!
//! It uses the content store and the image service instead of the transfer service, which containerd 1.6 does not have.

pub(crate) mod archive;
pub(crate) mod blob;
mod store;

pub use store::{ContainerdImages, NAMESPACE};
