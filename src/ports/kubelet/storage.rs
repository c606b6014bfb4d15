//! API objects of storage drivers.

use std::collections::BTreeMap;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};

use crate::core::status::GrowthStep;
use crate::ports::node::ApiError;

/// A driver's description of this node; published in the CSINode object and as labels of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeDriver {
    /// Name of the driver.
    pub name: String,
    /// Id of the node in the storage system.
    pub node_id: String,
    /// Location of the node, e.g. its zone; becomes labels of the node.
    pub topology: BTreeMap<String, String>,
    /// Most volumes that can be attached; `None` for no limit.
    pub max_volumes: Option<i32>,
}

/// Reads and publishes objects of storage drivers. Nothing is cached: they are read once per volume.
#[async_trait]
pub trait StorageApi: Send + Sync {
    /// The driver's CSIDriver object; `None` if there is none, which means defaults.
    async fn csi_driver(&self, name: &str) -> Result<Option<CSIDriver>, ApiError>;
    /// An attachment of a volume to this node; `None` if there is none.
    async fn volume_attachment(&self, name: &str) -> Result<Option<VolumeAttachment>, ApiError>;
    /// Records the progress of growing a volume in its claim's status; returns the claim after that.
    async fn tell_growth(
        &self,
        claim: &PersistentVolumeClaim,
        step: GrowthStep,
    ) -> Result<PersistentVolumeClaim, ApiError>;
    /// Ensures that this node's CSINode object exists.
    async fn publish_node(&self) -> Result<(), ApiError>;
    /// Publishes a driver of this node, or updates what is published.
    async fn publish_driver(&self, driver: &NodeDriver) -> Result<(), ApiError>;
    /// Removes a driver that is no longer on this node.
    async fn withdraw_driver(&self, name: &str) -> Result<(), ApiError>;
}
