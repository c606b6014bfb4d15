//! Images for a pod's containers: policy, credentials, back-off.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::core::model::PodUid;
use crate::cri;

/// An image that is present and that the pod may use.
#[derive(Clone, Debug, PartialEq)]
pub struct PulledImage {
    /// Value for the CRI's `ContainerConfig.image`.
    pub spec: cri::ImageSpec,
    /// The runtime's description of it (user, id).
    pub image: cri::Image,
}

/// Why a container has to wait for its image: `state.waiting` of its status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct ImageWaiting {
    /// `ErrImagePull`, `ImagePullBackOff`, `ErrImageNeverPull`, `InvalidImageName`, ...
    pub reason: String,
    /// Message for the status.
    pub message: String,
    /// When to try again; `None` for the next regular resync.
    pub retry_at: Option<Timestamp>,
}

/// One image for one container (or one image volume) of a pod.
#[derive(Clone, Debug)]
pub struct ImageDemand {
    /// Image name in the spec.
    pub image: String,
    /// `imagePullPolicy` in the spec; `None` for the default.
    pub policy: Option<String>,
    /// Field path for events, e.g. `spec.containers{web}`; for an image volume `spec.volumes{name}`.
    pub field_path: String,
}

/// Provides images by policy; records the events `Pulling`, `Pulled`, `BackOff`, `Failed` itself.
#[async_trait]
pub trait PodImages: Send + Sync {
    /// The image, or the reason to wait. Pulls if needed; cancelled when dropped. Checking a present image takes one
    /// call.
    async fn ensure(
        &self,
        pod: &Arc<Pod>,
        demand: &ImageDemand,
        sandbox: Option<&cri::PodSandboxConfig>,
    ) -> Result<PulledImage, ImageWaiting>;
    /// Resets the back-off of a pod that is gone.
    fn forget(&self, uid: &PodUid);
}
