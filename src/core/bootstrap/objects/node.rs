//! Label and taint of a control-plane node.

use crate::core::model::json::put;
use serde_json::{Map, Value, json};

/// Key of the label, and of the taint.
pub const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";
const NO_EXTERNAL_BALANCER_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The taint that repels ordinary pods; the kubelet registers with it.
pub fn render_control_plane_taint() -> Value {
    json!({ "key": CONTROL_PLANE_LABEL, "effect": "NoSchedule" })
}

/// The merge patch that gives `node` the label and the wanted taints; `None` if it has them all.
///
/// The API treats taints as one list, which several controllers write: the patch carries the resource version it was
/// made from, so that a concurrent change makes the server reject it, and the caller retries.
pub fn plan_control_plane_mark(node: &Value, taints: &[Value]) -> Option<Value> {
    let label_of = |name: &str| node.pointer("/metadata/labels").and_then(|labels| labels.get(name));
    let missing_labels: Map<String, Value> = [CONTROL_PLANE_LABEL, NO_EXTERNAL_BALANCER_LABEL]
        .into_iter()
        .filter(|name| label_of(name).is_none())
        .map(|name| (name.to_owned(), Value::from("")))
        .collect();
    let present: Vec<Value> = node.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
    let same = |a: &Value, b: &Value| a["key"] == b["key"] && a["effect"] == b["effect"];
    let missing_taints: Vec<Value> =
        taints.iter().filter(|taint| !present.iter().any(|other| same(taint, other))).cloned().collect();
    if missing_labels.is_empty() && missing_taints.is_empty() {
        return None;
    }
    let mut patch = json!({ "metadata": { "resourceVersion": node.pointer("/metadata/resourceVersion") } });
    if !missing_labels.is_empty() {
        put(&mut patch, &["metadata", "labels"], missing_labels);
    }
    if !missing_taints.is_empty() {
        put(&mut patch, &["spec", "taints"], present.into_iter().chain(missing_taints).collect::<Vec<_>>());
    }
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_taints_stay_and_a_marked_node_needs_nothing() {
        let not_ready = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" });
        let node = json!({ "metadata": { "resourceVersion": "7" }, "spec": { "taints": [not_ready] } });
        let patch = plan_control_plane_mark(&node, &[render_control_plane_taint()]).unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["spec"]["taints"], json!([not_ready, render_control_plane_taint()]));
        assert_eq!(patch["metadata"]["labels"].as_object().unwrap().len(), 2);

        let marked = json!({
            "metadata": { "resourceVersion": "8", "labels": patch["metadata"]["labels"] },
            "spec": patch["spec"],
        });
        assert_eq!(plan_control_plane_mark(&marked, &[render_control_plane_taint()]), None);
    }
}
