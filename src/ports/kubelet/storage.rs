//! API objects around storage drivers.

use std::collections::BTreeMap;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};

use crate::core::status::GrowthStep;
use crate::ports::node::ApiError;

/// What a driver says of this node; published as part of the CSINode object and the node's labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeDriver {
    /// The driver's name.
    pub name: String,
    /// The node's name in the storage system.
    pub node_id: String,
    /// Where the node is, e.g. zone; becomes labels of the node.
    pub topology: BTreeMap<String, String>,
    /// How many volumes fit; `None` for no limit.
    pub max_volumes: Option<i32>,
}

/// Reads and publishes objects around storage drivers. Nothing is cached: they are asked for once per volume.
#[async_trait]
pub trait StorageApi: Send + Sync {
    /// A driver's object; `None` when there is none, which means defaults.
    async fn csi_driver(&self, name: &str) -> Result<Option<CSIDriver>, ApiError>;
    /// An attachment of a volume to this node.
    async fn volume_attachment(&self, name: &str) -> Result<Option<VolumeAttachment>, ApiError>;
    /// Writes into a claim's status how far growing its volume has come; gives the claim as it is then.
    async fn tell_growth(
        &self,
        claim: &PersistentVolumeClaim,
        step: GrowthStep,
    ) -> Result<PersistentVolumeClaim, ApiError>;
    /// Makes sure that this node's CSINode object exists.
    async fn publish_node(&self) -> Result<(), ApiError>;
    /// Makes the driver known on this node, or brings what is known up to date.
    async fn publish_driver(&self, driver: &NodeDriver) -> Result<(), ApiError>;
    /// The driver is gone from this node.
    async fn withdraw_driver(&self, name: &str) -> Result<(), ApiError>;
}
