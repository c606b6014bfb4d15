//! Ensures that the Node object exists and has the metadata that the kubelet owns.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::core::model::{Backoff, with_causes};
use crate::core::node::{offered_devices, render_device_withdrawal};
use crate::ports::kubelet::NodeApi;
use crate::ports::node::ApiError;

/// First and longest delay between attempts. Shorter than upstream's seven seconds: the API server may be starting on
/// this node.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };
/// Longest delay while the server responds with a rejection.
const PAUSE_REFUSED: Duration = Duration::from_secs(2);

/// Registers until it succeeds and gives the node as the API has it, and whether it was created now. With `create` false
/// it waits for somebody else to create the node.
pub async fn register(api: &dyn NodeApi, create: bool, wanted: impl Fn() -> Node) -> (Node, bool) {
    let mut retries = BACKOFF.doubling();
    loop {
        let attempt =
            if create { create_or_reconcile(api, &wanted()).await } else { api.get().await.map(|node| (node, false)) };
        let longest = match attempt {
            Ok((node, is_new)) => {
                info!(node = node.metadata.name, uid = node.metadata.uid, is_new, "node registered");
                return (node, is_new);
            }
            Err(error @ ApiError::Unreachable { .. }) => {
                debug!(error = with_causes(&error), "node not registered yet");
                BACKOFF.most
            }
            Err(error) => {
                warn!(error = with_causes(&error), "node not registered");
                PAUSE_REFUSED
            }
        };
        sleep(retries.pause_up_to(longest)).await;
    }
}

/// Withdraws what device plugins of another kubelet left in the node's status: no plugin is served here, and pods would
/// start without their devices. Retried until it succeeds, because pods of the API are admitted by the result.
pub async fn withdraw_devices(api: &dyn NodeApi, node: Node) -> Node {
    let Some(patch) = render_device_withdrawal(&node) else { return node };
    warn!(devices = ?offered_devices(&node), "withdrawing devices that no plugin on this node provides");
    loop {
        match api.patch_status(&patch).await {
            Ok(node) => return node,
            // The Node was deleted concurrently: a new one has none.
            Err(ApiError::NotFound(_)) => return node,
            Err(error) => debug!(error = with_causes(&error), "devices not withdrawn yet"),
        }
        sleep(BACKOFF.most).await;
    }
}

async fn create_or_reconcile(api: &dyn NodeApi, wanted: &Node) -> Result<(Node, bool), ApiError> {
    match api.create(wanted).await {
        Err(ApiError::AlreadyExists(_)) => {}
        // A node may be allowed to update its object but not to create it.
        Err(error) if error.is_denied() => match api.get().await {
            Ok(_) => {}
            Err(_) => return Err(error),
        },
        other => return other.map(|node| (node, true)),
    }
    let found = api.get().await?;
    match missing(&found, wanted) {
        Some(patch) => api.patch(&patch).await.map(|node| (node, false)),
        None => Ok((found, false)),
    }
}

/// Labels and annotations that the Node lacks; taints are only set at creation.
fn missing(found: &Node, wanted: &Node) -> Option<Value> {
    let mut meta = Map::new();
    let parts = [
        ("labels", &found.metadata.labels, &wanted.metadata.labels),
        ("annotations", &found.metadata.annotations, &wanted.metadata.annotations),
    ];
    for (name, found, wanted) in parts {
        let lacks = wanted.iter().flatten().filter(|(k, v)| found.as_ref().and_then(|f| f.get(*k)) != Some(*v));
        let lacks: Map<String, Value> = lacks.map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect();
        if !lacks.is_empty() {
            meta.insert(name.into(), Value::Object(lacks));
        }
    }
    let spec = wanted.spec.as_ref().and_then(|s| s.provider_id.as_ref());
    let has_id = found.spec.as_ref().and_then(|s| s.provider_id.as_ref()).is_some();
    let spec = spec.filter(|_| !has_id).map(|id| json!({"providerID": id}));
    match (meta.is_empty(), spec) {
        (true, None) => None,
        (_, spec) => Some(json!({"metadata": meta, "spec": spec.unwrap_or_else(|| json!({}))})),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use k8s_openapi::api::coordination::v1::Lease;

    use super::*;

    /// An API whose server is unreachable for the first requests.
    struct Api {
        away: Mutex<u32>,
        patches: Mutex<Vec<Value>>,
    }

    #[async_trait]
    impl NodeApi for Api {
        async fn get(&self) -> Result<Node, ApiError> {
            unreachable!("nobody reads")
        }
        async fn create(&self, _: &Node) -> Result<Node, ApiError> {
            unreachable!("it is there")
        }
        async fn patch(&self, _: &Value) -> Result<Node, ApiError> {
            unreachable!("only its status changes")
        }
        async fn patch_status(&self, patch: &Value) -> Result<Node, ApiError> {
            let mut away = self.away.lock().unwrap();
            if *away > 0 {
                *away -= 1;
                return Err(ApiError::Unreachable { what: "node".into(), message: "away".into() });
            }
            self.patches.lock().unwrap().push(patch.clone());
            Ok(serde_json::from_value(patch.clone()).unwrap())
        }
        async fn get_lease(&self) -> Result<Lease, ApiError> {
            unreachable!("no lease")
        }
        async fn create_lease(&self, _: &Lease) -> Result<Lease, ApiError> {
            unreachable!("no lease")
        }
        async fn replace_lease(&self, _: &Lease) -> Result<Lease, ApiError> {
            unreachable!("no lease")
        }
        async fn changed(&self) {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn devices_left_by_another_kubelet_are_withdrawn_before_pods_of_the_api_are_admitted() {
        let api = Api { away: Mutex::new(3), patches: Mutex::default() };
        let left: Node = serde_json::from_value(json!({
            "status": { "capacity": { "cpu": "2", "nvidia.com/gpu": "8" }, "allocatable": { "nvidia.com/gpu": "8" } }
        }))
        .unwrap();
        let node = withdraw_devices(&api, left).await;
        let allocatable = node.status.unwrap().allocatable.unwrap();
        assert_eq!(allocatable["nvidia.com/gpu"].0, "0");
        assert_eq!(api.patches.lock().unwrap().len(), 1);
        withdraw_devices(&api, Node::default()).await;
        assert_eq!(api.patches.lock().unwrap().len(), 1, "there is nothing to withdraw");
    }
}
