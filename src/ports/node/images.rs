//! Images: the CRI ImageService.

use async_trait::async_trait;

use super::RuntimeError;
use crate::cri;

/// The CRI image service. Every method is one call.
#[async_trait]
pub trait ImageService: Send + Sync {
    /// The image of that name or id, if the node has it.
    async fn image_status(&self, image: &cri::ImageSpec) -> Result<Option<cri::Image>, RuntimeError>;
    /// Pulls an image and returns its reference; no deadline, dropped with the caller.
    async fn pull_image(
        &self,
        image: &cri::ImageSpec,
        auth: Option<cri::AuthConfig>,
        sandbox: Option<cri::PodSandboxConfig>,
    ) -> Result<String, RuntimeError>;
    /// Removes an image; one that does not exist is success.
    async fn remove_image(&self, image: &cri::ImageSpec) -> Result<(), RuntimeError>;
    /// All images of the node.
    async fn list_images(&self) -> Result<Vec<cri::Image>, RuntimeError>;
    /// Usage of the file systems that hold images and container layers.
    async fn image_fs_info(&self) -> Result<cri::ImageFsInfoResponse, RuntimeError>;
}
