//! Configuration files inside ConfigMaps.

use serde_json::Value;

/// The value as YAML. A value from `json!` always has a YAML form; if the library fails, JSON is used, which is valid
/// YAML.
pub fn render_yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|_| format!("{value:#}\n"))
}

/// Merges `patch` into `target` as a JSON merge patch (RFC 7386), except that a patch of null changes nothing.
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
