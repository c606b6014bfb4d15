//! Makes sure that the Node object exists and carries what the kubelet owns of it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::ports::{ApiError, NodeApi};

/// First and longest pause between attempts. Shorter than upstream's seven seconds: the API server may start next to us.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// Longest pause while the server answers but refuses.
const PAUSE_REFUSED: Duration = Duration::from_secs(2);

/// Registers until it succeeds and gives the node as the API has it. With `create` false it waits for somebody else to
/// create the node.
pub async fn register(api: &dyn NodeApi, create: bool, wanted: impl Fn() -> Node) -> Node {
    let mut pause = PAUSE.0;
    loop {
        let attempt = if create { create_or_reconcile(api, &wanted()).await } else { api.get().await };
        let longest = match attempt {
            Ok(node) => {
                info!(node = node.metadata.name, uid = node.metadata.uid, "node registered");
                return node;
            }
            Err(error @ ApiError::Unreachable { .. }) => {
                debug!(%error, "node not registered yet");
                PAUSE.1
            }
            Err(error) => {
                warn!(%error, "node not registered");
                PAUSE_REFUSED
            }
        };
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(longest);
    }
}

async fn create_or_reconcile(api: &dyn NodeApi, wanted: &Node) -> Result<Node, ApiError> {
    match api.create(wanted).await {
        Err(ApiError::AlreadyExists(_)) => {}
        // A node may be allowed to update itself but not to create.
        Err(error) if error.is_denied() => match api.get().await {
            Ok(_) => {}
            Err(_) => return Err(error),
        },
        other => return other,
    }
    let found = api.get().await?;
    match missing(&found, wanted) {
        Some(patch) => api.patch(&patch).await,
        None => Ok(found),
    }
}

/// Labels and annotations that the node should carry and does not; taints are only set at creation.
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
