//! What files a content volume has, as values (upstream `MakePayload` and `CollectData` in `pkg/volume`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, Pod, Secret};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::core::model::field::{field_value, resource_value};

/// Mode of files when a volume does not say (the API server's default).
pub const DEFAULT_MODE: i32 = 0o644;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentFile {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
    /// Its owner, when not root.
    pub owner: Option<u32>,
}

/// Files by relative path.
pub type Payload = BTreeMap<String, ContentFile>;

/// Files of a configMap; all keys when there are no items.
pub fn of_config_map(map: &ConfigMap, items: &[KeyToPath], mode: i32, optional: bool) -> Result<Payload, String> {
    let text = map.data.iter().flatten().map(|(k, v)| (k.as_str(), v.as_bytes()));
    let binary = map.binary_data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.as_slice()));
    let missing = |key: &str| format!("configmap references non-existent config key: {key}");
    select(&text.chain(binary).collect(), items, mode, optional, missing)
}

/// Files of a secret; all keys when there are no items.
pub fn of_secret(secret: &Secret, items: &[KeyToPath], mode: i32, optional: bool) -> Result<Payload, String> {
    let data = secret.data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.as_slice())).collect();
    select(&data, items, mode, optional, |key| format!("references non-existent secret key: {key}"))
}

fn select(
    data: &BTreeMap<&str, &[u8]>,
    items: &[KeyToPath],
    mode: i32,
    optional: bool,
    missing: impl Fn(&str) -> String,
) -> Result<Payload, String> {
    if items.is_empty() {
        return Ok(data.iter().map(|(key, data)| ((*key).to_owned(), file(data, mode))).collect());
    }
    let mut payload = Payload::new();
    for item in items {
        match data.get(item.key.as_str()) {
            Some(data) => _ = payload.insert(item.path.clone(), file(data, item.mode.unwrap_or(mode))),
            None if optional => {}
            None => return Err(missing(&item.key)),
        }
    }
    Ok(payload)
}

/// Files of the downward API.
pub fn of_downward_api(
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    mode: i32,
    allocatable: &BTreeMap<String, Quantity>,
) -> Result<Payload, String> {
    let mut payload = Payload::new();
    for item in items {
        let value = if let Some(field) = &item.field_ref {
            let path = &field.field_path;
            field_value(pod, path).ok_or_else(|| format!("unsupported fieldPath: {path}"))?
        } else if let Some(resource) = &item.resource_field_ref {
            resource_value(pod, None::<&Container>, resource, allocatable)?
        } else {
            String::new()
        };
        payload.insert(item.path.clone(), file(value.as_bytes(), item.mode.unwrap_or(mode)));
    }
    Ok(payload)
}

/// A file of root's.
pub fn file(data: &[u8], mode: i32) -> ContentFile {
    ContentFile { data: data.to_vec(), mode: mode.unsigned_abs() & 0o777, owner: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, path: &str, mode: Option<i32>) -> KeyToPath {
        KeyToPath { key: key.into(), path: path.into(), mode }
    }

    #[test]
    fn items_choose_keys_paths_and_modes() {
        let map: ConfigMap =
            serde_json::from_value(serde_json::json!({"data": {"a": "1", "b": "2"}, "binaryData": {"c": "AA=="}}))
                .unwrap();
        let all = of_config_map(&map, &[], 0o644, false).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        let some = of_config_map(&map, &[item("c", "x/y", Some(0o400))], 0o644, false).unwrap();
        assert_eq!(some["x/y"], ContentFile { data: vec![0], mode: 0o400, owner: None });
    }

    #[test]
    fn missing_keys_are_told_in_upstreams_words_unless_optional() {
        let items = [item("z", "z", None)];
        assert_eq!(
            of_config_map(&ConfigMap::default(), &items, 0o644, false),
            Err("configmap references non-existent config key: z".into())
        );
        assert_eq!(
            of_secret(&Secret::default(), &items, 0o644, false),
            Err("references non-existent secret key: z".into())
        );
        assert_eq!(of_secret(&Secret::default(), &items, 0o644, true), Ok(Payload::new()));
    }
}
