//! Fields inside JSON documents of unchecked shape; assigning by index panics if a value is not an object.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A value does not have the expected type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

/// Converts a value into one of Kubernetes' types.
///
/// It goes through text: the deserializer for the API server's responses is in the program anyway, and another one from
/// values would add a quarter of a megabyte of code.
///
/// # Errors
/// A field has another type, or is missing.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Unfit> {
    serde_json::from_str(&value.to_string()).map_err(|error| {
        // The place is in our own text, which the user has not seen.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        Unfit(message.strip_suffix(&place).unwrap_or(&message).to_owned())
    })
}

/// The value at these nested names; `null` if there is none.
pub fn at<'v>(document: &'v Value, names: &[&str]) -> &'v Value {
    names.iter().try_fold(document, |value, name| value.get(*name)).unwrap_or(&Value::Null)
}

/// Sets the field at these nested names; parents that are not objects are replaced by objects.
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
