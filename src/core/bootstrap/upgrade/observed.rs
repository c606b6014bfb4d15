//! The versions that run in a cluster, derived from its API objects.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::core::bootstrap::objects::CONTROL_PLANE_LABEL;
use crate::core::bootstrap::static_pods::VERSION_ANNOTATION;
use crate::core::model::Version;
use crate::core::model::json::at;
use crate::core::model::spec::Component;
use crate::core::yaml;

/// A component on a node, from its pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObservedComponent {
    /// Its version; `None` if the image's tag is not a version.
    pub version: Option<Version>,
    /// Reference of its image, as in the pod's spec.
    pub image: String,
    /// True if its pod is Ready.
    pub ready: bool,
}

/// A node and the components on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedNode {
    /// Name of its Node object.
    pub name: String,
    /// True if it runs API server and controllers.
    pub control_plane: bool,
    /// Version of its kubelet; `None` if the Node does not report a valid one.
    pub kubelet: Option<Version>,
    /// True if its Node is Ready.
    pub ready: bool,
    /// Components by name: those of the control plane and kube-proxy.
    pub components: BTreeMap<String, ObservedComponent>,
}

/// A member of etcd, as it reports about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObservedMember {
    /// Its name, or its address if the name is unknown.
    pub name: String,
    /// Version of its etcd; `None` if it did not answer.
    pub version: Option<Version>,
    /// Why it is unhealthy; `None` if it is healthy.
    pub fault: Option<String>,
}

/// Everything that was observed in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedCluster {
    /// The cluster's version in `kubeadm-config`; `None` if it is missing or invalid.
    pub configured: Option<Version>,
    /// Control planes first, then by name.
    pub nodes: Vec<ObservedNode>,
    /// Members of etcd; empty if etcd is external.
    pub etcd: Vec<ObservedMember>,
    /// CoreDNS; `None` if the cluster does not have it.
    pub coredns: Option<ObservedComponent>,
    /// Number of CoreDNS replicas in its Deployment.
    pub coredns_replicas: Option<u64>,
}

impl ObservedCluster {
    /// A component on all nodes that have it, with the names of the nodes.
    pub fn everywhere<'a>(&'a self, component: &str) -> impl Iterator<Item = (&'a str, &'a ObservedComponent)> {
        self.nodes.iter().filter_map(move |node| Some((node.name.as_str(), node.components.get(component)?)))
    }

    /// Version of the oldest API server; `None` if none is known.
    pub fn oldest_api_server(&self) -> Option<Version> {
        self.everywhere(Component::ApiServer.name()).filter_map(|(_, seen)| seen.version).min()
    }
}

/// Derives it from Nodes, the Pods of kube-system, the ConfigMap `kubeadm-config` and the Deployment `coredns`.
pub fn derive_cluster(
    nodes: &[Value],
    pods: &[Value],
    kubeadm_config: Option<&Value>,
    coredns: Option<&Value>,
) -> ObservedCluster {
    let mut observed: Vec<ObservedNode> = nodes.iter().map(|node| derive_node(node, pods)).collect();
    observed.sort_by(|a, b| (!a.control_plane, &a.name).cmp(&(!b.control_plane, &b.name)));
    ObservedCluster {
        configured: kubeadm_config.and_then(configured_version),
        nodes: observed,
        etcd: Vec::new(),
        coredns: coredns.and_then(derive_coredns),
        coredns_replicas: coredns.and_then(|seen| seen.pointer("/spec/replicas")?.as_u64()),
    }
}

fn configured_version(config_map: &Value) -> Option<Version> {
    let text = config_map.pointer("/data/ClusterConfiguration")?.as_str()?;
    let document = yaml::parse_document(text.as_bytes()).ok()?;
    at(&document, &["kubernetesVersion"]).as_str()?.parse().ok()
}

fn derive_node(node: &Value, pods: &[Value]) -> ObservedNode {
    let name = at(node, &["metadata", "name"]).as_str().unwrap_or_default();
    let mut components = BTreeMap::new();
    for pod in pods {
        let going = pod.pointer("/metadata/deletionTimestamp").is_some();
        if going || pod.pointer("/spec/nodeName").and_then(Value::as_str) != Some(name) {
            continue;
        }
        let label = |name: &str| at(pod, &["metadata", "labels", name]).as_str();
        let component = match (label("tier"), label("component"), label("k8s-app")) {
            (Some("control-plane"), Some(component), _) => component,
            (_, _, Some("kube-proxy")) => "kube-proxy",
            _ => continue,
        };
        components.insert(component.to_owned(), derive_component(pod, at(pod, &["spec"])));
    }
    ObservedNode {
        name: name.to_owned(),
        control_plane: at(node, &["metadata", "labels"]).get(CONTROL_PLANE_LABEL).is_some()
            || components.contains_key(Component::ApiServer.name()),
        kubelet: node.pointer("/status/nodeInfo/kubeletVersion").and_then(Value::as_str).and_then(|v| v.parse().ok()),
        ready: has_condition(node, "Ready"),
        components,
    }
}

/// `owner` has the metadata and the conditions, `spec` the containers.
fn derive_component(owner: &Value, spec: &Value) -> ObservedComponent {
    let image = spec.pointer("/containers/0/image").and_then(Value::as_str).unwrap_or_default();
    let annotated = at(owner, &["metadata", "annotations", VERSION_ANNOTATION]).as_str();
    ObservedComponent {
        version: annotated.and_then(|version| version.parse().ok()).or_else(|| Version::of_image(image)),
        image: image.to_owned(),
        ready: has_condition(owner, "Ready"),
    }
}

fn derive_coredns(deployment: &Value) -> Option<ObservedComponent> {
    let mut seen = derive_component(deployment, deployment.pointer("/spec/template/spec")?);
    seen.ready = has_condition(deployment, "Available");
    Some(seen)
}

fn has_condition(object: &Value, wanted: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["type"] == wanted && condition["status"] == "True")
}
