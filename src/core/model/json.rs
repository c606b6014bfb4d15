//! Fields deep in JSON documents whose shape nobody has checked; indexing one that is no object panics when it is set.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A value is not of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

/// A value as an object of Kubernetes' types.
///
/// By way of its text: the reader of what the API server sends is in the program anyway, and one of the same types from
/// values is a quarter of a megabyte of code in memory.
///
/// # Errors
/// A field is of another kind, or is missing.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Unfit> {
    serde_json::from_str(&value.to_string()).map_err(|error| {
        // The place is one in our own text, which nobody has seen.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        Unfit(message.strip_suffix(&place).unwrap_or(&message).to_owned())
    })
}

/// What stands at these names, one below the other; `null` where there is nothing.
pub fn at<'v>(document: &'v Value, names: &[&str]) -> &'v Value {
    names.iter().try_fold(document, |value, name| value.get(*name)).unwrap_or(&Value::Null)
}

/// Sets the field at these names; what is on the way and is no object becomes one.
pub fn put(document: &mut Value, names: &[&str], field: impl Into<Value>) {
    let mut place = document;
    for name in names {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(fields) = place else { return };
        place = fields.entry(*name).or_insert(Value::Null);
    }
    *place = field.into();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn any_document_can_be_read_and_written() {
        for document in [json!(null), json!([1]), json!("text"), json!({"a": 3}), json!({"a": {"c": 1}})] {
            assert_eq!(at(&document, &["a", "b"]), &Value::Null);
            let mut changed = document.clone();
            put(&mut changed, &["a", "b"], 7);
            assert_eq!(at(&changed, &["a", "b"]), &json!(7), "{document}");
        }
        let mut kept = json!({"a": {"c": 1}});
        put(&mut kept, &["a", "b"], 7);
        assert_eq!(kept, json!({"a": {"b": 7, "c": 1}}));
    }
}
