//! The files of a content volume, as values (upstream `MakePayload` and `CollectData` in `pkg/volume`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, Pod, Secret};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::core::model::field::{field_value, resource_value};

/// Default mode of files in a volume (the API server's default).
pub const DEFAULT_MODE: i32 = 0o644;

/// A file of a content volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentFile {
    pub data: Vec<u8>,
    pub mode: u32,
    /// Uid of its owner; `None` for root.
    pub owner: Option<u32>,
}

/// Files by relative path.
pub type Payload = BTreeMap<String, ContentFile>;

/// Most bytes of all files of a volume. They are created in the kubelet's memory, and one key of an object can be used
/// for thousands of files.
pub const MAX_CONTENT: usize = 64 << 20;

/// Adds files to a payload.
///
/// # Errors
/// The total would exceed [`MAX_CONTENT`].
pub fn add(payload: &mut Payload, more: impl IntoIterator<Item = (String, ContentFile)>) -> Result<(), String> {
    let mut size = payload.values().fold(0_usize, |size, file| size.saturating_add(file.data.len()));
    for (path, file) in more {
        size = size.saturating_add(file.data.len());
        if size > MAX_CONTENT {
            return Err(format!("its files are larger than {MAX_CONTENT} bytes together"));
        }
        payload.insert(path, file);
    }
    Ok(())
}

/// Files of a configMap; all keys if there are no items.
pub fn of_config_map(map: &ConfigMap, items: &[KeyToPath], mode: i32, optional: bool) -> Result<Payload, String> {
    let text = map.data.iter().flatten().map(|(k, v)| (k.as_str(), v.as_bytes()));
    let binary = map.binary_data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.as_slice()));
    let missing = |key: &str| format!("configmap references non-existent config key: {key}");
    select(&text.chain(binary).collect(), items, mode, optional, missing)
}

/// Files of a secret; all keys if there are no items.
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
    if let Some(item) = items.iter().find(|item| !optional && !data.contains_key(item.key.as_str())) {
        return Err(missing(&item.key));
    }
    let mut payload = Payload::new();
    let found = items.iter().filter_map(|item| Some((item, *data.get(item.key.as_str())?)));
    add(&mut payload, found.map(|(item, data)| (item.path.clone(), file(data, item.mode.unwrap_or(mode)))))?;
    Ok(payload)
}

/// Files of the downward API.
pub fn of_downward_api(
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    mode: i32,
    allocatable: &BTreeMap<String, Quantity>,
) -> Result<Payload, String> {
    let (mut payload, mut size) = (Payload::new(), 0_usize);
    for item in items {
        let value = if let Some(field) = &item.field_ref {
            let path = &field.field_path;
            field_value(pod, path).ok_or_else(|| format!("unsupported fieldPath: {path}"))?
        } else if let Some(resource) = &item.resource_field_ref {
            resource_value(pod, None::<&Container>, resource, allocatable)?
        } else {
            String::new()
        };
        size = size.saturating_add(value.len());
        if size > MAX_CONTENT {
            return Err(format!("its files are larger than {MAX_CONTENT} bytes together"));
        }
        payload.insert(item.path.clone(), file(value.as_bytes(), item.mode.unwrap_or(mode)));
    }
    Ok(payload)
}

/// A file owned by root.
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
    fn one_key_that_is_named_for_thousands_of_files_is_refused() {
        let big = "x".repeat(1 << 20);
        let map: ConfigMap = serde_json::from_value(serde_json::json!({"data": {"a": big}})).unwrap();
        let items = |count: usize| (0..count).map(|i| item("a", &format!("f{i}"), None)).collect::<Vec<_>>();
        assert_eq!(of_config_map(&map, &items(64), 0o644, false).unwrap().len(), 64);
        let error = of_config_map(&map, &items(65), 0o644, false).unwrap_err();
        assert_eq!(error, "its files are larger than 67108864 bytes together");

        let annotations = BTreeMap::from([("a".to_owned(), big)]);
        let mut pod = Pod::default();
        pod.metadata.annotations = Some(annotations);
        let field = |i: usize| {
            let json =
                serde_json::json!({"path": format!("f{i}"), "fieldRef": {"fieldPath": "metadata.annotations['a']"}});
            serde_json::from_value(json).unwrap()
        };
        let fields: Vec<DownwardAPIVolumeFile> = (0..65).map(field).collect();
        assert!(of_downward_api(&pod, &fields, 0o644, &BTreeMap::new()).is_err());
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
