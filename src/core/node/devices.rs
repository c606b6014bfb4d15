//! Devices without a plugin: resources that a device plugin of another kubelet left in the node's status.
//!
//! Source: `pkg/kubelet/kubelet_node_status.go` (`reconcileExtendedResource`): a kubelet that starts without a record
//! of device plugins sets their resources to zero, until a plugin advertises them again.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node;
use serde_json::{Map, Value, json};

use crate::core::model::Amount;

/// The status patch that withdraws them; `None` if there are none.
pub fn render_device_withdrawal(node: &Node) -> Option<Value> {
    let status = node.status.as_ref()?;
    let lists = [&status.capacity, &status.allocatable];
    let offered = lists
        .into_iter()
        .flatten()
        .flatten()
        .filter(|(name, amount)| is_extended(name) && !Amount::of(amount).is_zero());
    let names: BTreeSet<&String> = offered.map(|(name, _)| name).collect();
    if names.is_empty() {
        return None;
    }
    let zeros: Map<String, Value> = names.into_iter().map(|name| (name.clone(), json!("0"))).collect();
    Some(json!({ "status": { "capacity": zeros, "allocatable": zeros } }))
}

/// True for resources with a domain of their own (`v1helper.IsExtendedResourceName`).
pub fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// Names and amounts that [`render_device_withdrawal`] withdraws, for the log.
pub fn offered_devices(node: &Node) -> BTreeMap<String, String> {
    let capacity = node.status.as_ref().and_then(|status| status.capacity.clone()).unwrap_or_default();
    capacity.into_iter().filter(|(name, _)| is_extended(name)).map(|(name, amount)| (name, amount.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_plugins_are_withdrawn_and_resources_of_the_kubelet_stay() {
        let node = |resources: Value| -> Node {
            serde_json::from_value(json!({ "status": { "capacity": resources, "allocatable": resources } })).unwrap()
        };
        let left = node(json!({ "cpu": "4", "hugepages-2Mi": "0", "nvidia.com/gpu": "8", "a.kubernetes.io/b": "1" }));
        let zero = json!({ "nvidia.com/gpu": "0" });
        assert_eq!(
            render_device_withdrawal(&left),
            Some(json!({ "status": { "capacity": zero, "allocatable": zero } }))
        );
        assert_eq!(render_device_withdrawal(&node(json!({ "cpu": "4", "nvidia.com/gpu": "0" }))), None);
        assert_eq!(render_device_withdrawal(&Node::default()), None);
    }
}
