//! Parses bytes into a Pod as the API server would: YAML or JSON, with apiVersion and kind.

use std::ops::Range;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::Finding;
use super::nulls::settle_nulls;
use crate::core::model::json;
use crate::core::yaml::{self, Places};

/// Parses one Pod.
///
/// # Errors
/// The first finding, with its place.
pub fn parse_pod(bytes: &[u8]) -> Result<Pod, Finding> {
    let value = parse_value(bytes)?;
    let read = expect_type(&value, "Pod").and_then(|()| to_pod(value));
    read.map_err(|finding| finding.located_in(&Places::of(bytes)))
}

/// Parses a Pod or a PodList, as served by a manifest URL; an empty body is an empty list.
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
        return Err(Finding::of("", "the document is empty or not an object"));
    }
    match (value.get("apiVersion").and_then(Value::as_str), value.get("kind").and_then(Value::as_str)) {
        (Some("v1"), Some(found)) if found == kind => Ok(()),
        (Some("v1"), Some(found)) => Err(Finding::of("kind", format!("want {kind}, got {found}"))),
        (_, None) => Err(Finding::of("kind", "is missing")),
        (None, _) => Err(Finding::of("apiVersion", "is missing")),
        (Some(found), _) => Err(Finding::of("apiVersion", format!("want v1, got {found}"))),
    }
}

fn to_pod(mut value: Value) -> Result<Pod, Finding> {
    settle_nulls(&mut value);
    let reads = &mut |value: &Value| json::read::<Pod>(value).is_ok();
    json::read(&value).map_err(|e| Finding::of(blame(&value, reads), e.to_string()))
}

/// A step from a value to a nested one.
enum Step {
    Name(String),
    Index(usize),
}

/// Finds the invalid field, which serde does not name: the deepest part without which the Pod can be parsed.
fn blame(value: &Value, reads: &mut dyn FnMut(&Value) -> bool) -> String {
    let mut path = Vec::new();
    while let Some(step) = guilty_child(value, &path, reads) {
        path.push(step);
    }
    let mut text = String::new();
    for step in path {
        match step {
            Step::Name(name) if text.is_empty() => text = name,
            Step::Name(name) => text += &format!(".{name}"),
            Step::Index(index) => text += &format!("[{index}]"),
        }
    }
    text
}

/// The one child of the part at `path` without which everything parses, by bisection: lists may be long, and each
/// attempt parses the whole Pod.
fn guilty_child(value: &Value, path: &[Step], reads: &mut dyn FnMut(&Value) -> bool) -> Option<Step> {
    let mut readable_without = |children: Range<usize>| {
        let mut rest = value.clone();
        remove_children(&mut rest, path, children);
        reads(&rest)
    };
    let part = path.iter().try_fold(value, |part, step| match step {
        Step::Name(name) => part.get(name),
        Step::Index(index) => part.get(index),
    })?;
    let count = match part {
        Value::Object(map) => map.len(),
        Value::Array(items) => items.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    let mut suspects = 0..count;
    if count == 0 || !readable_without(suspects.clone()) {
        return None;
    }
    while suspects.len() > 1 {
        let middle = suspects.start.midpoint(suspects.end);
        let halves = [suspects.start..middle, middle..suspects.end];
        suspects = halves.into_iter().find(|half| readable_without(half.clone()))?;
    }
    match part {
        Value::Object(map) => map.keys().nth(suspects.start).cloned().map(Step::Name),
        _ => Some(Step::Index(suspects.start)),
    }
}

fn remove_children(value: &mut Value, path: &[Step], children: Range<usize>) {
    let part = path.iter().try_fold(value, |part, step| match step {
        Step::Name(name) => part.get_mut(name),
        Step::Index(index) => part.get_mut(index),
    });
    match part {
        Some(Value::Object(map)) => {
            let mut at = 0..;
            map.retain(|_, _| at.next().is_none_or(|at| !children.contains(&at)));
        }
        Some(Value::Array(items)) => drop(items.drain(children)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_a_long_list_is_found_in_few_looks() {
        let mut containers: Vec<Value> = (0..5000).map(|n| serde_json::json!({"name": format!("c{n}")})).collect();
        containers[4321]["image"] = 7.into();
        let pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": containers}});
        let mut looks = 0;
        let found = blame(&pod, &mut |value| {
            looks += 1;
            json::read::<Pod>(value).is_ok()
        });
        assert_eq!(found, "spec.containers[4321].image");
        assert!(looks < 60, "{looks} looks");
    }
}
