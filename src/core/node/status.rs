//! The Node object for registration, and its status.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeDaemonEndpoints, NodeFeatures, NodeRuntimeHandler,
    NodeRuntimeHandlerFeatures, NodeSpec, NodeStatus, NodeSwapStatus, NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::{Health, derive_conditions, derive_resources};
use crate::core::model::json::put;
use crate::core::model::{KubeletSpec, MachineFacts, Release};
use crate::cri;

/// Most names listed per image (`nodestatus.MaxNamesPerImageInNodeStatus`).
const MAX_NAMES: usize = 5;

/// Annotation with the addresses of `--node-ip`, for the cloud controller.
const PROVIDED_NODE_IP: &str = "alpha.kubernetes.io/provided-node-ip";
/// Labels about the machine, owned by the kubelet.
const FACTS: [&str; 2] = ["kubernetes.io/arch", "kubernetes.io/os"];

/// What the runtime reports about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuntimeView {
    /// Name and version, e.g. `containerd://2.4.2`.
    pub version: String,
    /// Runtime handlers with their features.
    pub handlers: Vec<cri::RuntimeHandler>,
    /// Features of the runtime as a whole; `None` if it reports none.
    pub features: Option<cri::RuntimeFeatures>,
    /// Images on the node.
    pub images: Vec<cri::Image>,
}

/// Everything that a node's status depends on.
#[derive(Clone, Copy, Debug)]
pub struct NodeInputs<'a> {
    /// Settings of the kubelet.
    pub spec: &'a KubeletSpec,
    /// Properties of the machine.
    pub machine: &'a MachineFacts,
    /// State of the container runtime.
    pub runtime: &'a RuntimeView,
    /// Readiness and pressure conditions.
    pub health: &'a Health,
    /// Volumes that must not be detached from the node.
    pub volumes_in_use: &'a BTreeSet<String>,
    /// The node's status as last read from the API.
    pub old: &'a NodeStatus,
    /// Time of the status; heartbeat of its conditions.
    pub now: Timestamp,
}

/// The Node object to create.
pub fn derive_node(inputs: &NodeInputs<'_>) -> Node {
    let (spec, machine) = (inputs.spec, inputs.machine);
    let mut labels = BTreeMap::from([
        ("beta.kubernetes.io/arch".to_string(), machine.arch.clone()),
        ("beta.kubernetes.io/os".to_string(), "linux".to_string()),
        ("kubernetes.io/arch".to_string(), machine.arch.clone()),
        ("kubernetes.io/os".to_string(), "linux".to_string()),
        ("kubernetes.io/hostname".to_string(), spec.node_name.clone()),
    ]);
    labels.extend(spec.node.labels.clone());
    let mut annotations = BTreeMap::new();
    if spec.node.controller_attach_detach {
        annotations.insert("volumes.kubernetes.io/controller-managed-attach-detach".to_string(), "true".to_string());
    }
    let mut taints = spec.node.taints.clone();
    if spec.node.external_cloud {
        let key = "node.cloudprovider.kubernetes.io/uninitialized".to_string();
        taints.push(Taint { key, value: Some("true".into()), effect: "NoSchedule".into(), time_added: None });
        let ips: Vec<String> =
            spec.node.ips.iter().filter(|ip| !ip.is_unspecified()).map(ToString::to_string).collect();
        if !ips.is_empty() {
            annotations.insert(PROVIDED_NODE_IP.to_string(), ips.join(","));
        }
    }
    Node {
        metadata: ObjectMeta {
            name: Some(spec.node_name.clone()),
            labels: Some(labels),
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            taints: (!taints.is_empty()).then_some(taints),
            provider_id: Some(spec.node.provider_id.clone()).filter(|id| !id.is_empty()),
            ..NodeSpec::default()
        }),
        status: Some(derive_status(inputs)),
    }
}

/// The patch that restores metadata owned by the kubelet while it runs: the labels of operating system and
/// architecture, and the addresses for a cloud (upstream `updateNode`, `nodestatus.NodeAddress`). Other labels are only
/// set at startup: users may change them. `None` if nothing differs.
pub fn render_metadata_patch(found: &Node, wanted: &Node) -> Option<Value> {
    let value = |all: &Option<BTreeMap<String, String>>, key: &str| all.as_ref().and_then(|all| all.get(key)).cloned();
    let mut patch = json!({});
    for key in FACTS {
        let (has, wanted) = (value(&found.metadata.labels, key), value(&wanted.metadata.labels, key));
        if wanted.is_some() && has != wanted {
            put(&mut patch, &["metadata", "labels", key], json!(wanted));
        }
    }
    let (has, wanted) =
        (value(&found.metadata.annotations, PROVIDED_NODE_IP), value(&wanted.metadata.annotations, PROVIDED_NODE_IP));
    if has != wanted {
        put(&mut patch, &["metadata", "annotations", PROVIDED_NODE_IP], json!(wanted));
    }
    (patch != json!({})).then_some(patch)
}

/// Addresses of the node, primary family first.
pub fn derive_addresses(spec: &KubeletSpec, machine: &MachineFacts) -> Vec<IpAddr> {
    if spec.node.ips.iter().any(|ip| !ip.is_unspecified()) {
        return spec.node.ips.clone();
    }
    // `0.0.0.0` or `::` selects only the family.
    match spec.node.ips.first() {
        Some(family) => {
            let same = |ip: &&IpAddr| ip.is_ipv4() == family.is_ipv4() && !ip.is_loopback();
            machine.addresses.iter().chain(&machine.local_addresses).find(same).into_iter().copied().collect()
        }
        None => machine.addresses.clone(),
    }
}

/// The name to resolve for addresses; `None` if addresses are configured: a name server must not be asked then
/// (upstream `pkg/kubelet/nodestatus/setters.go`).
pub fn name_to_look_up(spec: &KubeletSpec) -> Option<&str> {
    let by_cloud = spec.node.external_cloud && spec.node.ips.is_empty();
    let given = by_cloud || spec.node.ips.iter().any(|ip| !ip.is_unspecified());
    (!given).then_some(spec.node_name.as_str())
}

/// The status that follows from the inputs.
pub fn derive_status(inputs: &NodeInputs<'_>) -> NodeStatus {
    let (spec, machine, runtime) = (inputs.spec, inputs.machine, inputs.runtime);
    let resources = derive_resources(machine, spec);
    let features = runtime.features.as_ref();
    NodeStatus {
        addresses: Some(addresses(inputs)),
        capacity: Some(resources.capacity),
        allocatable: Some(resources.allocatable),
        conditions: Some(derive_conditions(
            inputs.health,
            inputs.old.conditions.as_deref().unwrap_or_default(),
            inputs.now,
        )),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(spec.server.port) }),
        }),
        declared_features: declared_features(spec.release),
        features: features.map(|f| NodeFeatures { supplemental_groups_policy: Some(f.supplemental_groups_policy) }),
        images: Some(images(&runtime.images, spec.node.max_images)),
        node_info: Some(NodeSystemInfo {
            architecture: machine.arch.clone(),
            boot_id: machine.boot_id.clone(),
            container_runtime_version: runtime.version.clone(),
            kernel_version: machine.kernel.clone(),
            kube_proxy_version: String::new(),
            kubelet_version: spec.release.version.to_string(),
            machine_id: machine.machine_id.clone(),
            operating_system: "linux".into(),
            os_image: machine.os_image.clone(),
            swap: (machine.swap > 0).then(|| NodeSwapStatus { capacity: i64::try_from(machine.swap).ok() }),
            system_uuid: machine.system_uuid.clone(),
        }),
        volumes_in_use: Some(inputs.volumes_in_use.iter().cloned().collect()),
        runtime_handlers: Some(runtime.handlers.iter().map(handler).collect()),
        ..NodeStatus::default()
    }
}

/// `None` for versions whose kubelet declares nothing: their API server does not know the field.
fn declared_features(release: &Release) -> Option<Vec<String>> {
    let names: Vec<String> = release.declared_features.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then_some(names)
}

fn addresses(inputs: &NodeInputs<'_>) -> Vec<NodeAddress> {
    let spec = inputs.spec;
    let hostname = NodeAddress { type_: "Hostname".into(), address: spec.node_name.clone() };
    if spec.node.external_cloud {
        // The cloud controller sets them. Until then `--node-ip` is used: pods in the host's network need an address,
        // including the controller itself (kubernetes#125348). Without it other nodes use the node's name.
        let given = inputs.old.addresses.clone().unwrap_or_default();
        if !given.is_empty() {
            return given;
        }
        if spec.node.ips.is_empty() {
            return vec![hostname];
        }
    }
    let ips = derive_addresses(spec, inputs.machine);
    let internal = ips.iter().map(|ip| NodeAddress { type_: "InternalIP".into(), address: ip.to_string() });
    internal.chain([hostname]).collect()
}

fn handler(handler: &cri::RuntimeHandler) -> NodeRuntimeHandler {
    NodeRuntimeHandler {
        name: Some(handler.name.clone()),
        features: handler.features.as_ref().map(|f| NodeRuntimeHandlerFeatures {
            recursive_read_only_mounts: Some(f.recursive_read_only_mounts),
            user_namespaces: Some(f.user_namespaces),
        }),
    }
}

/// The largest images, each with its digests before its tags.
fn images(all: &[cri::Image], most: i64) -> Vec<ContainerImage> {
    let mut all: Vec<&cri::Image> = all.iter().collect();
    all.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    all.into_iter()
        .take(most)
        .map(|image| {
            let names = image.repo_digests.iter().chain(&image.repo_tags).take(MAX_NAMES).cloned().collect();
            ContainerImage { names: Some(names), size_bytes: i64::try_from(image.size).ok() }
        })
        .collect()
}

/// The patch from the API's status to the new one; `None` if only heartbeat times would change.
pub fn render_status_patch(old: &NodeStatus, new: &NodeStatus, heartbeat_due: bool) -> Option<Value> {
    let (mut before, now) = (object(old), object(new));
    let mut patch = Map::new();
    for (name, value) in &now {
        let differs = match (name.as_str(), before.get(name)) {
            ("conditions", Some(old)) => heartbeat_due || without_heartbeat(old) != without_heartbeat(value),
            (_, old) => old != Some(value) && !(old.is_none() && is_empty(value)),
        };
        if !differs {
            continue;
        }
        let value = match name.as_str() {
            // A merged list: replace it by ours.
            "addresses" => with_replace(value),
            // A merged map: removed resources have to be named.
            "capacity" | "allocatable" => with_removals(before.remove(name), value),
            _ => value.clone(),
        };
        patch.insert(name.clone(), value);
    }
    (!patch.is_empty()).then(|| json!({"status": patch}))
}

fn object(status: &NodeStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn without_heartbeat(conditions: &Value) -> Vec<Value> {
    let ours = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];
    let mut conditions: Vec<Value> = conditions
        .as_array()
        .into_iter()
        .flatten()
        .filter(|c| c["type"].as_str().is_some_and(|t| ours.contains(&t)))
        .cloned()
        .collect();
    for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
        condition.remove("lastHeartbeatTime");
    }
    conditions.sort_by_key(|c| c["type"].to_string());
    conditions
}

fn with_replace(value: &Value) -> Value {
    let mut items = value.as_array().cloned().unwrap_or_default();
    items.push(json!({"$patch": "replace"}));
    Value::Array(items)
}

fn with_removals(old: Option<Value>, new: &Value) -> Value {
    let mut merged = new.clone();
    if let (Some(Value::Object(old)), Some(merged)) = (old, merged.as_object_mut()) {
        // Extended resources may belong to others; only our own kinds are removed.
        for name in old.keys().filter(|name| name.starts_with("hugepages-") || *name == "ephemeral-storage") {
            merged.entry(name).or_insert(Value::Null);
        }
    }
    merged
}
