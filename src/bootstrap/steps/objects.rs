//! Objects of the API.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::Value;

use crate::bootstrap::api::{best, retry};
use crate::bootstrap::error::StepError;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::objects::{plan_control_plane_mark, plan_labels, render_control_plane_taint};
use crate::core::bootstrap::step::{ObjectStep, covers};
use crate::core::model::StepOutcome;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{Applied, ClusterObjectsError, ObjectRef};

/// True if the object is as wanted; false if the API cannot be asked.
pub async fn is_met(ports: &Ports, spec: &Spec, step: &ObjectStep) -> bool {
    match step {
        ObjectStep::Apply { object, create_only } => is_applied(ports, spec, object, *create_only).await,
        ObjectStep::Delete { object } => is_absent(ports, spec, object).await,
        ObjectStep::MarkControlPlane { node, taint } => is_marked(ports, spec, node, *taint).await,
        ObjectStep::LabelNode { node, labels } => is_labelled(ports, spec, node, labels).await,
        ObjectStep::AssignPodSubnets { .. } => has_pod_subnets(ports, spec).await,
    }
}

/// Makes the object as wanted.
pub async fn apply(ports: &Ports, spec: &Spec, step: &ObjectStep) -> Result<StepOutcome, StepError> {
    match step {
        ObjectStep::Apply { object, .. } => return apply_object(ports, spec, object).await,
        ObjectStep::Delete { object } => delete(ports, spec, object).await?,
        ObjectStep::MarkControlPlane { node, taint } => mark(ports, spec, node, *taint).await?,
        ObjectStep::LabelNode { node, labels } => label(ports, spec, node, labels).await?,
        ObjectStep::AssignPodSubnets { node, subnets } => assign_pod_subnets(ports, spec, node, subnets).await?,
    }
    Ok(StepOutcome::Changed)
}

async fn read(ports: &Ports, spec: &Spec, object: &Value) -> Option<Value> {
    let reference = ObjectRef::of(object)?;
    let objects = best(ports, spec).await.ok()?;
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

/// True when the object is there with all that is wanted of it.
async fn is_applied(ports: &Ports, spec: &Spec, object: &Value, create_only: bool) -> bool {
    read(ports, spec, object).await.is_some_and(|seen| create_only || covers(&seen, object))
}

/// True when the API says that there is no such object.
async fn is_absent(ports: &Ports, spec: &Spec, object: &Value) -> bool {
    let (Some(reference), Ok(objects)) = (ObjectRef::of(object), best(ports, spec).await) else { return false };
    matches!(objects.get(&reference).await, Ok(None))
}

/// True if a Node has the label and taint of a control plane.
async fn is_marked(ports: &Ports, spec: &Spec, name: &str, taint: bool) -> bool {
    node(ports, spec, name).await.is_some_and(|node| plan_control_plane_mark(&node, &taints(taint)).is_none())
}

fn taints(taint: bool) -> Vec<Value> {
    if taint { vec![render_control_plane_taint()] } else { Vec::new() }
}

async fn apply_object(ports: &Ports, spec: &Spec, object: &Value) -> Result<StepOutcome, StepError> {
    let objects = best(ports, spec).await?;
    Ok(match retry(|| objects.apply(object)).await? {
        Applied::Changed => StepOutcome::Changed,
        Applied::Unchanged => StepOutcome::Unchanged,
    })
}

async fn delete(ports: &Ports, spec: &Spec, object: &Value) -> Result<(), StepError> {
    let reference = ObjectRef::of(object).ok_or(ClusterObjectsError::NoObject)?;
    let objects = best(ports, spec).await?;
    Ok(retry(|| objects.delete(&reference)).await.map(drop)?)
}

/// True when a Node has the labels that its settings name, and none that they named before.
async fn is_labelled(ports: &Ports, spec: &Spec, name: &str, labels: &BTreeMap<String, String>) -> bool {
    node(ports, spec, name).await.is_some_and(|node| plan_labels(&node, labels).is_none())
}

/// Gives a Node the labels and taint of a control plane.
async fn mark(ports: &Ports, spec: &Spec, name: &str, taint: bool) -> Result<(), StepError> {
    patch_node(ports, spec, name, |node| plan_control_plane_mark(node, &taints(taint))).await
}

/// Gives a Node the labels that its settings name, and takes those away that they named before.
async fn label(ports: &Ports, spec: &Spec, name: &str, labels: &BTreeMap<String, String>) -> Result<(), StepError> {
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
    let objects = best(ports, spec).await?;
    retry(|| async {
        let node = objects.get(&reference).await?.unwrap_or_default();
        match plan(&node) {
            Some(patch) => objects.merge_patch(&reference, &patch).await,
            None => Ok(()),
        }
    })
    .await?;
    Ok(())
}

/// True when any node has pod subnets: then the controller manager gives them, and knows which are free.
async fn has_pod_subnets(ports: &Ports, spec: &Spec) -> bool {
    let Ok(objects) = best(ports, spec).await else { return false };
    let nodes = objects.list(&ObjectRef::new("v1", "Node", None, ""), "").await.unwrap_or_default();
    nodes.iter().any(|node| node.pointer("/spec/podCIDR").is_some())
}

/// Gives a Node its pod subnets. When the controller manager was faster they stay as it gave them.
async fn assign_pod_subnets(ports: &Ports, spec: &Spec, name: &str, subnets: &[IpNet]) -> Result<(), StepError> {
    let subnets: Vec<String> = subnets.iter().map(ToString::to_string).collect();
    let patch = serde_json::json!({"spec": {"podCIDR": subnets.first(), "podCIDRs": subnets}});
    let objects = best(ports, spec).await?;
    let reference = ObjectRef::new("v1", "Node", None, name);
    match retry(|| objects.merge_patch(&reference, &patch)).await {
        // `podCIDRs` is immutable once set.
        Err(_) if has_pod_subnets(ports, spec).await => Ok(()),
        outcome => Ok(outcome?),
    }
}
