//! What the API reports about kubelets' serving certificates.

use serde_json::Value;

use super::api::administrator;
use super::ports::Ports;
use crate::core::bootstrap::facts::ObservedKubelets;
use crate::core::bootstrap::objects::KUBELET_AUTHORITY;
use crate::core::bootstrap::rotation::{KubeletTrust, ids};
use crate::core::model::json::at;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{ClusterObjectsError, ObjectRef};

/// `None` if the API cannot be reached.
pub async fn observe_kubelets(ports: &Ports, spec: &Spec) -> Option<ObservedKubelets> {
    let objects = administrator(ports, spec).await.ok()?;
    let ask = async {
        let map = objects.get(&ObjectRef::new("v1", "ConfigMap", Some("kube-system"), KUBELET_AUTHORITY)).await?;
        let nodes = objects.list(&ObjectRef::new("v1", "Node", None, ""), "").await?;
        let published = map.and_then(|map| at(&map, &["data", "ca.crt"]).as_str().map(str::to_owned));
        let known = published.as_deref().map(ids).unwrap_or_default();
        let is_signed = |node: &Value| {
            let serving = KubeletTrust::of(node).and_then(|trust| trust.serving);
            serving.is_some_and(|signer| known.contains(&signer))
        };
        Ok::<_, ClusterObjectsError>(ObservedKubelets { are_signed: nodes.iter().all(is_signed), published })
    };
    ask.await.ok()
}
