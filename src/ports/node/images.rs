//! The CRI ImageService.

use async_trait::async_trait;

use super::RuntimeError;
use crate::cri;

/// The CRI image service; each method is one call.
#[async_trait]
pub trait ImageService: Send + Sync {
    /// The image of that name or id; `None` if the node does not have it.
    async fn image_status(&self, image: &cri::ImageSpec) -> Result<Option<cri::Image>, RuntimeError>;
    /// Pulls an image and returns its reference; without a deadline, cancelled when dropped.
    async fn pull_image(
        &self,
        image: &cri::ImageSpec,
        auth: Option<cri::AuthConfig>,
        sandbox: Option<cri::PodSandboxConfig>,
    ) -> Result<String, RuntimeError>;
    /// Removes an image; "not found" is success.
    async fn remove_image(&self, image: &cri::ImageSpec) -> Result<(), RuntimeError>;
    /// All images on the node.
    async fn list_images(&self) -> Result<Vec<cri::Image>, RuntimeError>;
    /// Usage of the file systems of images and container layers.
    async fn image_fs_info(&self) -> Result<cri::ImageFsInfoResponse, RuntimeError>;
}
