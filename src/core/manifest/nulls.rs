//! Nulls where the API's types do not allow them: Go's decoder leaves the zero value.
//!
//! A null field is absent for both; the difference is in maps and lists, such as `labels: {app: }` of a template.

use serde_json::{Map, Value};

/// Maps from names to strings.
const TEXTS: [&str; 6] = ["labels", "annotations", "nodeSelector", "matchLabels", "volumeAttributes", "options"];
/// Maps from names to quantities.
const QUANTITIES: [&str; 4] = ["limits", "requests", "overhead", "capacity"];
/// Lists of strings; all other lists of a pod are of objects.
const TEXT_LISTS: [&str; 11] = [
    "args",
    "command",
    "nameservers",
    "searches",
    "hostnames",
    "finalizers",
    "accessModes",
    "add",
    "drop",
    "values",
    "monitors",
];

/// Replaces nulls in maps and lists by the values that the API server would read.
pub fn settle_nulls(document: &mut Value) {
    // Values that are still to be visited, with their names.
    let mut rest: Vec<(&str, &mut Value)> = vec![("", document)];
    while let Some((name, value)) = rest.pop() {
        match value {
            Value::Object(fields) if TEXTS.contains(&name) => fill(fields, ""),
            Value::Object(fields) if QUANTITIES.contains(&name) => fill(fields, "0"),
            Value::Object(fields) => rest.extend(fields.iter_mut().map(|(name, value)| (name.as_str(), value))),
            Value::Array(items) => {
                for item in items.iter_mut() {
                    if item.is_null() {
                        *item = if TEXT_LISTS.contains(&name) { "".into() } else { Map::new().into() };
                    }
                }
                rest.extend(items.iter_mut().map(|item| ("", item)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn fill(fields: &mut Map<String, Value>, with: &str) {
    for value in fields.values_mut().filter(|value| value.is_null()) {
        *value = with.into();
    }
}
