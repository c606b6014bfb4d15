//! Images as a pod's containers need them: policy, credentials, back-off.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::core::model::PodUid;
use crate::cri;

/// An image that is on the node and may be used by the pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PulledImage {
    /// For `ContainerConfig.image`.
    pub spec: cri::ImageSpec,
    /// What the runtime says of it (user, id).
    pub image: cri::Image,
}

/// Why a container has to wait for its image: `state.waiting` of its status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct ImageWaiting {
    /// `ErrImagePull`, `ImagePullBackOff`, `ErrImageNeverPull`, `InvalidImageName`, ...
    pub reason: String,
    /// Text for the status.
    pub message: String,
    /// When asking again may help; none means with the next ordinary resync.
    pub retry_at: Option<Timestamp>,
}

/// One image for one container (or one image volume) of a pod.
#[derive(Clone, Debug)]
pub struct ImageDemand {
    /// Image as the spec names it.
    pub image: String,
    /// `imagePullPolicy` of the spec.
    pub policy: Option<String>,
    /// Field path for events, e.g. `spec.containers{web}`; of an image volume `spec.volumes{name}`.
    pub field_path: String,
}

/// Makes images available by policy; records `Pulling`, `Pulled`, `BackOff`, `Failed` events itself.
#[async_trait]
pub trait PodImages: Send + Sync {
    /// Ready, or the reason to wait. Pulls inside; dropped with the caller. A look at a present image takes one call.
    async fn ensure(
        &self,
        pod: &Arc<Pod>,
        demand: &ImageDemand,
        sandbox: Option<&cri::PodSandboxConfig>,
    ) -> Result<PulledImage, ImageWaiting>;
    /// Forgets back-off of a pod that is gone.
    fn forget(&self, uid: &PodUid);
}
