//! The runtime's image store, which the bootstrapper fills.

use std::path::Path;

use async_trait::async_trait;

/// Why an image could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum ImageStoreError {
    /// containerd cannot be reached.
    #[error("containerd does not answer at {socket}: {message}; is containerd.service running?")]
    Unavailable {
        /// Path of containerd's socket.
        socket: String,
        /// Message of the transport.
        message: String,
    },
    /// The file is not an archive, or is truncated.
    #[error("image archive {path}: {message}")]
    Archive {
        /// Path of the archive.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// containerd rejected the request.
    #[error("image {image}: {message}")]
    Refused {
        /// Name of the image.
        image: String,
        /// The message that containerd returned.
        message: String,
    },
}

/// Images by name. All stored images are visible to CRI.
#[async_trait]
pub trait ImageStore: Send + Sync {
    /// Names of the images in the store.
    async fn names(&self) -> Result<Vec<String>, ImageStoreError>;
    /// Imports an OCI or docker archive and returns the names in it.
    async fn import(&self, archive: &Path) -> Result<Vec<String>, ImageStoreError>;
    /// Creates an empty image, for containers whose program is mounted from the host.
    async fn make_scratch(&self, name: &str) -> Result<(), ImageStoreError>;
    /// Creates an image with one static program of the host: the sandbox image of a node without registry and archive.
    async fn make_single(&self, name: &str, program: &Path) -> Result<(), ImageStoreError>;
    /// Excludes an image from garbage collection. `Ok(false)` if it was pinned already.
    async fn pin(&self, name: &str) -> Result<bool, ImageStoreError>;
}
