//! Bytes → Pod, as the API server would read them: YAML or JSON, apiVersion and kind stated.

use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use serde_json::Value;

use super::Finding;
use crate::core::yaml;

/// Reads one Pod.
///
/// # Errors
/// The first finding, with its place.
pub fn parse_pod(bytes: &[u8]) -> Result<Pod, Finding> {
    let value = parse_value(bytes)?;
    expect_type(&value, "Pod").map_err(|f| f.located_in(bytes))?;
    to_pod(value).map_err(|f| f.located_in(bytes))
}

/// Reads a Pod or a PodList, as a manifest URL may give; an empty body is an empty list.
///
/// # Errors
/// The first finding.
pub fn parse_pods(bytes: &[u8]) -> Result<Vec<Pod>, Finding> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let mut value = parse_value(bytes)?;
    match value.get("kind").and_then(Value::as_str) {
        Some("PodList" | "List") => {
            let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) else { return Ok(Vec::new()) };
            items.into_iter().map(to_pod).collect()
        }
        Some(_) | None => {
            expect_type(&value, "Pod")?;
            Ok(vec![to_pod(value)?])
        }
    }
}

fn parse_value(bytes: &[u8]) -> Result<Value, Finding> {
    yaml::parse_document(bytes).map_err(|e| Finding { field: String::new(), message: e.message, place: e.place })
}

fn expect_type(value: &Value, kind: &str) -> Result<(), Finding> {
    if !value.is_object() {
        return Err(Finding::of("", "the document is empty or no object"));
    }
    match (value.get("apiVersion").and_then(Value::as_str), value.get("kind").and_then(Value::as_str)) {
        (Some("v1"), Some(found)) if found == kind => Ok(()),
        (Some("v1"), Some(found)) => Err(Finding::of("kind", format!("want {kind}, got {found}"))),
        (_, None) => Err(Finding::of("kind", "is missing")),
        (None, _) => Err(Finding::of("apiVersion", "is missing")),
        (Some(found), _) => Err(Finding::of("apiVersion", format!("want v1, got {found}"))),
    }
}

fn to_pod(value: Value) -> Result<Pod, Finding> {
    Pod::deserialize(&value).map_err(|e| Finding::of(blame(&value), e.to_string()))
}

/// Finds the field that does not fit, since serde names none: the deepest part without which the Pod is readable.
fn blame(value: &Value) -> String {
    let mut path = String::new();
    loop {
        let children: Vec<String> = match node_at(&mut value.clone(), &path) {
            Some(Value::Object(map)) => map.keys().map(|k| join(&path, k)).collect(),
            Some(Value::Array(items)) => (0..items.len()).map(|i| format!("{path}[{i}]")).collect(),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => return path,
        };
        let guilty = children.into_iter().find(|child| {
            let mut without = value.clone();
            remove_at(&mut without, child);
            Pod::deserialize(&without).is_ok()
        });
        match guilty {
            Some(child) => path = child,
            None => return path,
        }
    }
}

fn remove_at(value: &mut Value, path: &str) {
    if let Some((parent, index)) = path.strip_suffix(']').and_then(|p| p.rsplit_once('[')) {
        if let (Some(Value::Array(items)), Ok(index)) = (node_at(value, parent), index.parse::<usize>())
            && index < items.len()
        {
            items.remove(index);
        }
        return;
    }
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    if let Some(Value::Object(map)) = node_at(value, parent) {
        map.remove(key);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}

fn node_at<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut node = value;
    for part in path.split('.').filter(|p| !p.is_empty()) {
        let (name, indexes) = part.split_once('[').unwrap_or((part, ""));
        node = node.get_mut(name)?;
        for index in indexes.split('[').filter_map(|i| i.trim_end_matches(']').parse::<usize>().ok()) {
            node = node.get_mut(index)?;
        }
    }
    Some(node)
}
