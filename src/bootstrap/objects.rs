//! The cluster's objects that steps apply, using the administrator's kubeconfig on this node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use super::error::StepError;
use super::ports::Ports;
use crate::core::bootstrap::objects::{plan_control_plane_mark, plan_labels, render_control_plane_taint};
use crate::core::bootstrap::step::covers;
use crate::core::model::StepOutcome;
use crate::core::model::spec::Spec;
use crate::core::model::time::Moment;
use crate::ports::bootstrap::{Applied, ClusterObjects, ClusterObjectsError, ObjectRef};

/// How long to retry while an API server is still starting.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// Connects with the first kubeconfig that exists. `super-admin.conf` works before any RBAC object exists.
async fn connect(ports: &Ports, spec: &Spec) -> Result<Arc<dyn ClusterObjects>, StepError> {
    let mut kubeconfig = spec.node.paths.kubeconfig("super-admin.conf");
    for name in ["super-admin.conf", "admin.conf", "kubelet.conf"] {
        kubeconfig = spec.node.paths.kubeconfig(name);
        if ports.files.info(&kubeconfig)?.is_some() {
            break;
        }
    }
    ports.net.connect(&kubeconfig).await.map_err(|source| StepError::Connect { kubeconfig, source })
}

async fn read(ports: &Ports, spec: &Spec, object: &Value) -> Option<Value> {
    let reference = ObjectRef::of(object)?;
    let objects = connect(ports, spec).await.ok()?;
    objects.get(&reference).await.ok().flatten()
}

/// A Node; `None` if the API cannot be reached or has no such Node.
pub async fn node(ports: &Ports, spec: &Spec, name: &str) -> Option<Value> {
    read(ports, spec, &node_reference(name)).await
}

fn node_reference(name: &str) -> Value {
    serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
}

/// True if the Node's `Ready` condition is true.
pub fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// True if the object exists with every field of `object`.
pub async fn is_met(ports: &Ports, spec: &Spec, object: &Value, create_only: bool) -> bool {
    read(ports, spec, object).await.is_some_and(|seen| create_only || covers(&seen, object))
}

/// True if the API reports that the object does not exist.
pub async fn is_absent(ports: &Ports, spec: &Spec, object: &Value) -> bool {
    let (Some(reference), Ok(objects)) = (ObjectRef::of(object), connect(ports, spec).await) else { return false };
    matches!(objects.get(&reference).await, Ok(None))
}

/// True if a Node has the label and taint of a control plane.
pub async fn is_marked(ports: &Ports, spec: &Spec, name: &str, taint: bool) -> bool {
    node(ports, spec, name).await.is_some_and(|node| plan_control_plane_mark(&node, &taints(taint)).is_none())
}

fn taints(taint: bool) -> Vec<Value> {
    if taint { vec![render_control_plane_taint()] } else { Vec::new() }
}

/// Retries transient errors while the API server is still starting.
pub(super) async fn retry<T, F: Future<Output = Result<T, ClusterObjectsError>>>(
    attempt: impl Fn() -> F,
) -> Result<T, StepError> {
    let deadline = tokio::time::Instant::now().later(PATIENCE);
    loop {
        match attempt().await {
            Err(error) if error.is_transient() && tokio::time::Instant::now() < deadline => {
                tracing::debug!(%error, "the API server is not ready; retrying");
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// Applies an object, server-side.
pub async fn apply(ports: &Ports, spec: &Spec, object: &Value) -> Result<StepOutcome, StepError> {
    let objects = connect(ports, spec).await?;
    Ok(match retry(|| objects.apply(object)).await? {
        Applied::Changed => StepOutcome::Changed,
        Applied::Unchanged => StepOutcome::Unchanged,
    })
}

pub async fn delete(ports: &Ports, spec: &Spec, object: &Value) -> Result<(), StepError> {
    let reference = ObjectRef::of(object).ok_or(ClusterObjectsError::NoObject)?;
    let objects = connect(ports, spec).await?;
    retry(|| objects.delete(&reference)).await.map(drop)
}

/// True if a Node has exactly the labels of its settings among those that were ever set from settings.
pub async fn is_labelled(ports: &Ports, spec: &Spec, name: &str, labels: &BTreeMap<String, String>) -> bool {
    node(ports, spec, name).await.is_some_and(|node| plan_labels(&node, labels).is_none())
}

/// Sets the label and taint of a control plane on a Node.
pub async fn mark(ports: &Ports, spec: &Spec, name: &str, taint: bool) -> Result<(), StepError> {
    patch_node(ports, spec, name, |node| plan_control_plane_mark(node, &taints(taint))).await
}

/// Sets the labels of the settings on a Node, and removes those of earlier settings.
pub async fn label(ports: &Ports, spec: &Spec, name: &str, labels: &BTreeMap<String, String>) -> Result<(), StepError> {
    patch_node(ports, spec, name, |node| plan_labels(node, labels)).await
}

/// Patches a Node, and retries on conflict.
async fn patch_node(
    ports: &Ports,
    spec: &Spec,
    name: &str,
    plan: impl Fn(&Value) -> Option<Value>,
) -> Result<(), StepError> {
    let reference = ObjectRef::new("v1", "Node", None, name);
    let objects = connect(ports, spec).await?;
    retry(|| async {
        let node = objects.get(&reference).await?.unwrap_or_default();
        match plan(&node) {
            Some(patch) => objects.merge_patch(&reference, &patch).await,
            None => Ok(()),
        }
    })
    .await
}

/// True if any Node has pod subnets: then the controller manager allocates them, and knows which are free.
pub async fn has_pod_subnets(ports: &Ports, spec: &Spec) -> bool {
    let Ok(objects) = connect(ports, spec).await else { return false };
    let nodes = objects.list(&ObjectRef::new("v1", "Node", None, ""), "").await.unwrap_or_default();
    nodes.iter().any(|node| node.pointer("/spec/podCIDR").is_some())
}

/// Sets a Node's pod subnets. If the controller manager was faster, its choice is kept.
pub async fn assign_pod_subnets(ports: &Ports, spec: &Spec, name: &str, subnets: &[IpNet]) -> Result<(), StepError> {
    let subnets: Vec<String> = subnets.iter().map(ToString::to_string).collect();
    let patch = serde_json::json!({"spec": {"podCIDR": subnets.first(), "podCIDRs": subnets}});
    let objects = connect(ports, spec).await?;
    let reference = ObjectRef::new("v1", "Node", None, name);
    match retry(|| objects.merge_patch(&reference, &patch)).await {
        // `podCIDRs` is immutable once set.
        Err(_) if has_pod_subnets(ports, spec).await => Ok(()),
        outcome => outcome,
    }
}
