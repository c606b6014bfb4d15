//! Configuration files inside ConfigMaps.

use serde_json::Value;

/// The value as YAML. A value that came from `json!` always has a YAML form; JSON, which is YAML too, stands in should
/// the library disagree.
pub fn render_yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|_| format!("{value:#}\n"))
}

/// Lays `patch` over `target` as a JSON merge patch (RFC 7386), except that a null patch as a whole changes nothing.
pub fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (name, change) in changes {
                if change.is_null() {
                    fields.remove(name);
                } else {
                    merge(fields.entry(name.clone()).or_insert(Value::Null), change);
                }
            }
        }
        (_, Value::Null) => {}
        (target, patch) => *target = patch.clone(),
    }
}
