//! API objects of storage drivers: CSIDriver, VolumeAttachment, this node's CSINode.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSINodeDriver, CSINodeSpec, VolumeAttachment, VolumeNodeResources,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};

use super::session::{Session, ask};
use crate::core::status::{GrowthStep, render_growth_patch};
use crate::ports::kubelet::{NodeApi, NodeDriver, StorageApi};
use crate::ports::node::ApiError;

/// Annotation with the node's ids in the storage systems, as JSON; older controllers read it.
const NODE_ID_ANNOTATION: &str = "csi.volume.kubernetes.io/nodeid";
/// Attempts to write an object that changes concurrently.
const ATTEMPTS: usize = 5;

/// Requests about storage for one node.
pub struct ApiStorage {
    session: Session,
    node: Arc<dyn NodeApi>,
    name: String,
}

impl ApiStorage {
    /// Requests for the node of that name.
    pub fn new(session: &Session, node: Arc<dyn NodeApi>, name: &str) -> Self {
        Self { session: session.clone(), node, name: name.to_owned() }
    }

    /// Changes the CSINode object, which is created if missing.
    async fn change(&self, edit: impl Fn(&mut Vec<CSINodeDriver>)) -> Result<(), ApiError> {
        let api: Api<CSINode> = Api::all(self.session.client());
        let what = || format!("CSINode {}", self.name);
        for attempt in 1.. {
            let result = match ask(what, api.get_opt(&self.name)).await? {
                Some(mut found) => {
                    let before = found.spec.drivers.clone();
                    edit(&mut found.spec.drivers);
                    if found.spec.drivers == before {
                        return Ok(());
                    }
                    ask(what, api.replace(&self.name, &PostParams::default(), &found)).await
                }
                None => {
                    let mut made = new_object(&self.node.get().await?);
                    edit(&mut made.spec.drivers);
                    ask(what, api.create(&PostParams::default(), &made)).await
                }
            };
            match result {
                Err(ApiError::Conflict { .. } | ApiError::AlreadyExists(_)) if attempt < ATTEMPTS => {}
                other => return other.map(drop),
            }
        }
        Ok(())
    }

    /// Writes labels and the annotation of a driver to the Node object, if they differ.
    async fn mark_node(
        &self,
        name: &str,
        id: Option<&str>,
        topology: &BTreeMap<String, String>,
    ) -> Result<(), ApiError> {
        let node = self.node.get().await?;
        let found = node.metadata.annotations.as_ref().and_then(|a| a.get(NODE_ID_ANNOTATION));
        let mut ids: BTreeMap<String, String> =
            found.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let before = ids.clone();
        match id {
            Some(id) => _ = ids.insert(name.to_owned(), id.to_owned()),
            None => _ = ids.remove(name),
        }
        let labels = node.metadata.labels.unwrap_or_default();
        if ids == before && topology.iter().all(|(key, value)| labels.get(key) == Some(value)) {
            return Ok(());
        }
        let text = (!ids.is_empty()).then(|| serde_json::json!(ids).to_string());
        let patch = serde_json::json!({"metadata": {"annotations": {NODE_ID_ANNOTATION: text}, "labels": topology}});
        self.node.patch(&patch).await.map(drop)
    }
}

fn new_object(node: &Node) -> CSINode {
    let mut object = CSINode { spec: CSINodeSpec::default(), ..CSINode::default() };
    object.metadata.name.clone_from(&node.metadata.name);
    object.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.metadata.name.clone().unwrap_or_default(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    }]);
    object
}

#[async_trait]
impl StorageApi for ApiStorage {
    async fn csi_driver(&self, name: &str) -> Result<Option<CSIDriver>, ApiError> {
        let api: Api<CSIDriver> = Api::all(self.session.client());
        ask(|| format!("get CSIDriver {name}"), api.get_opt(name)).await
    }

    async fn volume_attachment(&self, name: &str) -> Result<Option<VolumeAttachment>, ApiError> {
        let api: Api<VolumeAttachment> = Api::all(self.session.client());
        ask(|| format!("get VolumeAttachment {name}"), api.get_opt(name)).await
    }

    async fn tell_growth(
        &self,
        claim: &PersistentVolumeClaim,
        step: GrowthStep,
    ) -> Result<PersistentVolumeClaim, ApiError> {
        let Some(patch) = render_growth_patch(claim, &step, jiff::Timestamp::now()) else { return Ok(claim.clone()) };
        let namespace = claim.metadata.namespace.as_deref().unwrap_or("default");
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.session.client(), namespace);
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
        let written = api.patch_status(name, &parameters, &patch);
        ask(|| format!("status of persistentvolumeclaim {namespace}/{name}"), written).await
    }

    async fn publish_node(&self) -> Result<(), ApiError> {
        self.change(|_| {}).await
    }

    async fn publish_driver(&self, driver: &NodeDriver) -> Result<(), ApiError> {
        self.mark_node(&driver.name, Some(&driver.node_id), &driver.topology).await?;
        let keys: Vec<String> = driver.topology.keys().cloned().collect();
        let entry = CSINodeDriver {
            name: driver.name.clone(),
            node_id: driver.node_id.clone(),
            topology_keys: (!keys.is_empty()).then_some(keys),
            allocatable: driver.max_volumes.map(|count| VolumeNodeResources { count: Some(count) }),
        };
        self.change(|drivers| match drivers.iter_mut().find(|d| d.name == entry.name) {
            Some(found) => found.clone_from(&entry),
            None => drivers.push(entry.clone()),
        })
        .await
    }

    async fn withdraw_driver(&self, name: &str) -> Result<(), ApiError> {
        self.change(|drivers| drivers.retain(|d| d.name != name)).await?;
        self.mark_node(name, None, &BTreeMap::new()).await
    }
}
