//! The port `ImageService` over the CRI.

use async_trait::async_trait;

use super::connect::Cri;
use super::errors::gone_is_fine;
use crate::cri;
use crate::ports::node::{ImageService, RuntimeError};

#[async_trait]
impl ImageService for Cri {
    async fn image_status(&self, image: &cri::ImageSpec) -> Result<Option<cri::Image>, RuntimeError> {
        let request = cri::ImageStatusRequest { image: Some(image.clone()), verbose: false };
        let answer = self.call("ImageStatus", Some(self.timeout), self.images().image_status(request)).await?;
        Ok(answer.image)
    }

    async fn pull_image(
        &self,
        image: &cri::ImageSpec,
        auth: Option<cri::AuthConfig>,
        sandbox: Option<cri::PodSandboxConfig>,
    ) -> Result<String, RuntimeError> {
        let request = cri::PullImageRequest { image: Some(image.clone()), auth, sandbox_config: sandbox };
        Ok(self.call("PullImage", None, self.images().pull_image(request)).await?.image_ref)
    }

    async fn remove_image(&self, image: &cri::ImageSpec) -> Result<(), RuntimeError> {
        let request = cri::RemoveImageRequest { image: Some(image.clone()) };
        gone_is_fine(self.call("RemoveImage", Some(self.timeout), self.images().remove_image(request)).await)?;
        Ok(())
    }

    async fn list_images(&self) -> Result<Vec<cri::Image>, RuntimeError> {
        let request = cri::ListImagesRequest { filter: None };
        Ok(self.call("ListImages", Some(self.timeout), self.images().list_images(request)).await?.images)
    }

    async fn image_fs_info(&self) -> Result<cri::ImageFsInfoResponse, RuntimeError> {
        let request = cri::ImageFsInfoRequest {};
        self.call("ImageFsInfo", Some(self.timeout), self.images().image_fs_info(request)).await
    }
}
