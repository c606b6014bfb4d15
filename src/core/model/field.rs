//! Values of the downward API: fields of the pod and resources of its containers.
//!
//! Sources: `pkg/fieldpath`, `pkg/api/v1/resource/helpers.go`.

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Amount;
use super::totals::{container_limit, container_request, pod_level_limit};

/// Metadata and spec fields; `None` for other paths (including `status.*`, which the caller handles).
pub fn field_value(pod: &Pod, path: &str) -> Option<String> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let map = match map {
            "metadata.annotations" => meta.annotations.as_ref(),
            "metadata.labels" => meta.labels.as_ref(),
            _ => return None,
        };
        return Some(map.and_then(|m| m.get(key)).cloned().unwrap_or_default());
    }
    Some(match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => meta.labels.as_ref().map(format_map).unwrap_or_default(),
        "metadata.annotations" => meta.annotations.as_ref().map(format_map).unwrap_or_default(),
        "spec.nodeName" => spec.and_then(|s| s.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec.and_then(|s| s.service_account_name.clone()).unwrap_or_default(),
        _ => return None,
    })
}

/// Sorted `key="value"` lines, values quoted as Go's `strconv.Quote` does.
fn format_map(map: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in map {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(key);
        text.push('=');
        quote(&mut text, value);
    }
    text
}

fn quote(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\u{b}' => text.push_str("\\v"),
            '\u{c}' => text.push_str("\\f"),
            // Writing to a String cannot fail.
            c if (c as u32) < 0x20 || c as u32 == 0x7f => _ = write!(text, "\\x{:02x}", c as u32),
            c if c == '\u{feff}' || ('\u{80}'..='\u{a0}').contains(&c) => _ = write!(text, "\\u{:04x}", c as u32),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// A resource of a container in units of the divisor, rounded up; a limit that is not set falls back to the pod's, then
/// to the node's allocatable.
pub fn resource_value(
    pod: &Pod,
    container: Option<&Container>,
    selector: &ResourceFieldSelector,
    allocatable: &BTreeMap<String, Quantity>,
) -> Result<String, String> {
    let wanted = selector.container_name.as_deref().filter(|n| !n.is_empty());
    let container = match wanted {
        Some(name) => Some(find(pod, name).ok_or_else(|| format!("container {name} not found"))?),
        None => container,
    };
    let container = container.ok_or_else(|| "container  not found".to_owned())?;
    let unsupported = || format!("unsupported container resource : {}", selector.resource);
    let (list, name) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let basic = matches!(name, "cpu" | "memory" | "ephemeral-storage");
    if !basic && !name.starts_with("hugepages-") {
        return Err(unsupported());
    }
    let amount = match list {
        "requests" => container_request(container, name),
        "limits" => container_limit(container, name).filter(|a| !a.is_zero()).or_else(|| {
            let node = || allocatable.get(name).map(Amount::of);
            if basic { pod_level_limit(pod, name).filter(|a| !a.is_zero()).or_else(node) } else { None }
        }),
        _ => return Err(unsupported()),
    };
    let amount = amount.unwrap_or_default();
    let divisor = selector.divisor.as_ref().map(Amount::of).filter(|d| !d.is_zero()).unwrap_or(Amount::from_units(1));
    // CPU is compared in millicores, everything else in whole units, as upstream.
    let value = match name {
        "cpu" => Amount::from_milli(amount.milli()).div_ceil(Amount::from_milli(divisor.milli())),
        _ => Amount::from_units(amount.units()).div_ceil(Amount::from_units(divisor.units())),
    };
    Ok(value.to_string())
}

fn find<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "labels": {"b": "2", "a": "x\"y\n"}, "annotations": {"Key": "v"}},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "250m", "memory": "32Mi"},
                                                                "limits": {"memory": "64Mi"}}}]}
        }))
        .expect("a pod")
    }

    #[test]
    fn maps_are_sorted_quoted_lines() {
        assert_eq!(field_value(&pod(), "metadata.labels").as_deref(), Some("a=\"x\\\"y\\n\"\nb=\"2\""));
        assert_eq!(field_value(&pod(), "metadata.annotations['Key']").as_deref(), Some("v"));
        assert_eq!(field_value(&pod(), "metadata.labels['none']").as_deref(), Some(""));
        assert_eq!(field_value(&pod(), "spec.containers"), None);
    }

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let allocatable = BTreeMap::from([("cpu".to_owned(), Quantity("2".to_owned()))]);
        let value = |resource: &str, divisor: &str| {
            let selector = ResourceFieldSelector {
                container_name: Some("c".into()),
                resource: resource.into(),
                divisor: Some(Quantity(divisor.into())),
            };
            resource_value(&pod(), None, &selector, &allocatable)
        };
        assert_eq!(value("requests.cpu", "0"), Ok("1".into()));
        assert_eq!(value("requests.cpu", "1m"), Ok("250".into()));
        assert_eq!(value("limits.cpu", "1"), Ok("2".into()));
        assert_eq!(value("limits.memory", "1Mi"), Ok("64".into()));
        assert_eq!(value("limits.pods", "1"), Err("unsupported container resource : limits.pods".into()));
    }
}
