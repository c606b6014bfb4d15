//! The labels of a Node from its settings, and the annotation that remembers them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Annotation with the labels from settings, as JSON: it tells labels that were removed from the settings apart from
/// labels of others.
const REMEMBERED: &str = "roost.io/labels";

/// The merge patch that gives `node` these labels and removes those that its settings no longer name and that nobody
/// changed; `None` if nothing has to change.
pub fn plan_labels(node: &Value, wanted: &BTreeMap<String, String>) -> Option<Value> {
    let label_of =
        |name: &str| node.pointer("/metadata/labels").and_then(|labels| labels.get(name)).and_then(Value::as_str);
    let memory = node.pointer("/metadata/annotations").and_then(|all| all.get(REMEMBERED)).and_then(Value::as_str);
    // A malformed annotation is ignored.
    let remembered: BTreeMap<String, String> =
        memory.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let gone =
        remembered.iter().filter(|(name, value)| !wanted.contains_key(*name) && label_of(name) == Some(value.as_str()));
    let mut labels: Map<String, Value> = gone.map(|(name, _)| (name.clone(), Value::Null)).collect();
    let lacking = wanted.iter().filter(|(name, value)| label_of(name) != Some(value.as_str()));
    labels.extend(lacking.map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
    let keeps = match wanted.is_empty() {
        true => Value::Null,
        false => serde_json::to_string(wanted).unwrap_or_default().into(),
    };
    if labels.is_empty() && memory == keeps.as_str() {
        return None;
    }
    // The patch is made for this version: if the object changed, the server rejects it and it is planned again.
    Some(json!({ "metadata": {
        "resourceVersion": node.pointer("/metadata/resourceVersion"),
        "labels": labels,
        "annotations": { REMEMBERED: keeps },
    } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn node(labels: Value, memory: Value) -> Value {
        json!({ "metadata": { "resourceVersion": "7", "labels": labels, "annotations": { REMEMBERED: memory } } })
    }

    #[test]
    fn labels_that_the_settings_gave_go_with_them_and_no_others() {
        let seen = node(json!({"a": "1", "b": "2", "c": "3", "d": "4"}), json!(r#"{"a":"1","b":"2","c":"before"}"#));
        let patch = plan_labels(&seen, &wanted(&[("a", "1")])).unwrap();
        assert_eq!(patch["metadata"]["labels"], json!({"b": null}), "c was changed by somebody, d is somebody else's");
        assert_eq!(patch["metadata"]["annotations"], json!({ REMEMBERED: r#"{"a":"1"}"# }));
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn a_node_that_has_them_and_remembers_them_needs_nothing() {
        assert_eq!(plan_labels(&node(json!({"a": "1"}), json!(r#"{"a":"1"}"#)), &wanted(&[("a", "1")])), None);
        assert_eq!(plan_labels(&json!({"metadata": {"labels": {"x": "y"}}}), &wanted(&[])), None);
        // A label set by the kubelet at registration is remembered.
        assert!(plan_labels(&node(json!({"a": "1"}), Value::Null), &wanted(&[("a", "1")])).is_some());
        // A malformed annotation is ignored and replaced.
        let patch = plan_labels(&node(json!({"a": "1"}), json!("[")), &wanted(&[])).unwrap();
        assert_eq!(patch["metadata"]["labels"], json!({}));
    }
}
