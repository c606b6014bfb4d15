//! What the API says about this node and what it depends on, derived from whole objects.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PodStatus;
use serde::Serialize;
use serde_json::Value;

use crate::core::bootstrap::static_pods::VERSION_ANNOTATION;
use crate::core::model::Version;
use crate::core::model::json::{at, read};
use crate::core::static_units::{PodState, derive_state};

/// A container that runs for less than this after several restarts counts as crashing, not as running.
const SETTLED: SignedDuration = SignedDuration::from_secs(60);
/// Restarts from which that holds.
const MANY_RESTARTS: i64 = 3;

/// What the API says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterView {
    /// The kubeconfig by which the API was asked.
    pub kubeconfig: String,
    /// The Node of this name; `None` if there is none.
    pub node: Option<NodeView>,
    /// Pods of kube-proxy on this node.
    pub kube_proxy: Vec<PodView>,
    /// CoreDNS; `None` if this node may not read it, or there is none.
    pub core_dns: Option<CoreDnsView>,
    /// Versions of the API servers; empty if this node may not read them.
    pub api_servers: BTreeSet<Version>,
    /// Number of NetworkPolicies; `None` if this node may not read them.
    pub network_policies: Option<usize>,
}

/// A Node object, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// Machine id that its kubelet reports.
    pub machine_id: String,
    /// Boot id that its kubelet reports.
    pub boot_id: String,
    /// Its addresses; names are left out.
    pub addresses: BTreeSet<IpAddr>,
    /// Version of its kubelet; `None` if it does not report a valid one.
    pub kubelet: Option<Version>,
    /// Its conditions, as the kubelet and others report them.
    pub conditions: Vec<Condition>,
    /// True if it is cordoned.
    pub unschedulable: bool,
}

/// A condition of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about: `Ready`, `DiskPressure`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// A pod and why it is not Ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodView {
    /// The pod as `namespace/name`.
    pub pod: String,
    /// Why it is not Ready; `None` if it is.
    pub fault: Option<String>,
}

/// The Deployment of CoreDNS and its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CoreDnsView {
    /// Replicas that are Ready.
    pub ready: u64,
    /// Replicas that are wanted.
    pub wanted: u64,
    /// Its pods, those that are not Ready included.
    pub pods: Vec<PodView>,
}

/// Derives what matters of a Node object.
pub fn derive_node(node: &Value) -> NodeView {
    let info = |name: &str| at(node, &["status", "nodeInfo", name]).as_str().unwrap_or_default().to_owned();
    let list = |name: &str| at(node, &["status", name]).as_array().into_iter().flatten();
    let text = |value: &Value, name: &str| at(value, &[name]).as_str().unwrap_or_default().to_owned();
    NodeView {
        machine_id: info("machineID"),
        boot_id: info("bootID"),
        addresses: list("addresses").filter_map(|address| at(address, &["address"]).as_str()?.parse().ok()).collect(),
        kubelet: info("kubeletVersion").parse().ok(),
        conditions: list("conditions")
            .map(|condition| Condition {
                kind: text(condition, "type"),
                status: text(condition, "status"),
                reason: text(condition, "reason"),
                message: text(condition, "message"),
            })
            .collect(),
        unschedulable: at(node, &["spec", "unschedulable"]).as_bool().unwrap_or_default(),
    }
}

fn label<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    at(pod, &["metadata", "labels", name]).as_str()
}

/// Pods with this `k8s-app` label that are not being deleted.
pub fn derive_pods(pods: &[Value], app: &str, now: Timestamp) -> Vec<PodView> {
    let stays = |pod: &&Value| at(pod, &["metadata", "deletionTimestamp"]).is_null();
    let own = pods.iter().filter(|pod| label(pod, "k8s-app") == Some(app)).filter(stays);
    own.map(|pod| derive_pod(pod, now)).collect()
}

fn derive_pod(pod: &Value, now: Timestamp) -> PodView {
    let meta = |name: &str| at(pod, &["metadata", name]).as_str().unwrap_or_default();
    let status: PodStatus = read(at(pod, &["status"])).unwrap_or_default();
    let fault = match derive_state(&status, None) {
        PodState::Ready(_) => crashes(pod, now),
        PodState::Waiting(text) => Some(text),
        PodState::Stopping { text, .. } => Some(text),
        PodState::Stopped | PodState::Unknown => Some("not Ready".to_owned()),
    };
    PodView { pod: format!("{}/{}", meta("namespace"), meta("name")), fault }
}

/// A container without a readiness probe is ready in the moments between two crashes.
fn crashes(pod: &Value, now: Timestamp) -> Option<String> {
    let containers = at(pod, &["status", "containerStatuses"]).as_array()?;
    containers.iter().find_map(|container| {
        let restarts = at(container, &["restartCount"]).as_i64()?;
        let begun: Timestamp = at(container, &["state", "running", "startedAt"]).as_str()?.parse().ok()?;
        let code = at(container, &["lastState", "terminated", "exitCode"]).as_i64()?;
        let name = at(container, &["name"]).as_str().unwrap_or_default();
        (restarts >= MANY_RESTARTS && now.duration_since(begun) < SETTLED)
            .then(|| format!("{name} exits again and again: {restarts} restarts, the last exit code was {code}"))
    })
}

/// Derives CoreDNS from its Deployment and the pods of kube-system.
pub fn derive_core_dns(deployment: &Value, pods: &[Value], now: Timestamp) -> CoreDnsView {
    CoreDnsView {
        ready: at(deployment, &["status", "readyReplicas"]).as_u64().unwrap_or_default(),
        wanted: at(deployment, &["spec", "replicas"]).as_u64().unwrap_or(1),
        pods: derive_pods(pods, "kube-dns", now),
    }
}

/// Versions of the API servers that run as pods of kube-system.
pub fn derive_api_servers(pods: &[Value]) -> BTreeSet<Version> {
    let own = pods.iter().filter(|pod| label(pod, "component") == Some("kube-apiserver"));
    let version = |pod: &Value| {
        let annotated = at(pod, &["metadata", "annotations", VERSION_ANNOTATION]).as_str();
        let image = pod.pointer("/spec/containers/0/image").and_then(Value::as_str).unwrap_or_default();
        annotated.and_then(|version| version.parse().ok()).or_else(|| Version::of_image(image))
    };
    own.filter_map(version).collect()
}

/// A pod of another node to which a connection proves that the pod network works: one that is Ready and has an address
/// of its own. Gives its name, address, and a port that it may listen on.
pub fn derive_target(pods: &[Value]) -> Option<(String, IpAddr, u16)> {
    pods.iter().find_map(|pod| {
        let host_network = at(pod, &["spec", "hostNetwork"]).as_bool().unwrap_or_default();
        let going = !at(pod, &["metadata", "deletionTimestamp"]).is_null();
        let conditions = at(pod, &["status", "conditions"]).as_array()?;
        let ready = conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        if host_network || going || !ready {
            return None;
        }
        let address: IpAddr = at(pod, &["status", "podIP"]).as_str()?.parse().ok()?;
        let ports = at(pod, &["spec", "containers"]).as_array()?.iter();
        let mut ports = ports.flat_map(|container| at(container, &["ports"]).as_array().into_iter().flatten());
        let tcp = ports.find(|port| at(port, &["protocol"]).as_str().unwrap_or("TCP") == "TCP");
        let port = tcp.and_then(|port| u16::try_from(at(port, &["containerPort"]).as_u64()?).ok());
        let meta = |name: &str| at(pod, &["metadata", name]).as_str().unwrap_or_default();
        Some((format!("{}/{}", meta("namespace"), meta("name")), address, port.unwrap_or(80)))
    })
}

/// Other nodes that are Ready, by name.
pub fn derive_others(nodes: &[Value], own: &str) -> Vec<String> {
    let ready = |node: &&Value| {
        let conditions = at(node, &["status", "conditions"]).as_array();
        conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    let mut names: Vec<String> = nodes
        .iter()
        .filter(ready)
        .filter_map(|node| at(node, &["metadata", "name"]).as_str())
        .filter(|name| *name != own)
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    fn proxy(ready: &str, container: &Value) -> Value {
        json!({
            "metadata": { "namespace": "kube-system", "name": "kube-proxy-x", "labels": { "k8s-app": "kube-proxy" } },
            "status": { "conditions": [{ "type": "Ready", "status": ready }], "containerStatuses": [container] },
        })
    }

    fn container(restarts: u32, state: &Value) -> Value {
        json!({
            "name": "kube-proxy", "ready": state.get("running").is_some(), "restartCount": restarts, "image": "",
            "imageID": "", "state": state,
            "lastState": { "terminated": { "exitCode": 1, "finishedAt": "2026-01-01T00:09:00Z" } },
        })
    }

    #[test]
    fn a_pod_that_crashes_is_at_fault_also_in_the_moments_in_which_it_runs() {
        let running = |since: &str| json!({ "running": { "startedAt": since } });
        let crash = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } });
        let cases = [
            (proxy("True", &container(0, &running("2026-01-01T00:09:50Z"))), None),
            (proxy("True", &container(9, &running("2026-01-01T00:08:00Z"))), None),
            (
                proxy("True", &container(9, &running("2026-01-01T00:09:50Z"))),
                Some("9 restarts, the last exit code was 1"),
            ),
            (proxy("False", &container(2, &crash)), Some("kube-proxy: CrashLoopBackOff: back-off")),
        ];
        for (pod, fault) in cases {
            let seen = derive_pods(std::slice::from_ref(&pod), "kube-proxy", now());
            assert_eq!(seen[0].pod, "kube-system/kube-proxy-x");
            let told = seen[0].fault.as_deref();
            assert!(fault.map_or(told.is_none(), |fault| told.is_some_and(|told| told.contains(fault))), "{told:?}");
        }
        assert!(derive_pods(&[proxy("True", &json!({}))], "kube-dns", now()).is_empty());
    }

    #[test]
    fn a_target_is_a_ready_pod_with_an_address_of_its_own() {
        let pod = |name: &str, host: bool, ready: &str, ip: &str| {
            json!({
                "metadata": { "namespace": "x", "name": name },
                "spec": { "hostNetwork": host, "containers": [{ "ports": [
                    { "containerPort": 53, "protocol": "UDP" }, { "containerPort": 9153 }] }] },
                "status": { "podIP": ip, "conditions": [{ "type": "Ready", "status": ready }] },
            })
        };
        let pods = [
            pod("a", true, "True", "10.0.0.2"),
            pod("b", false, "False", "10.244.1.2"),
            pod("c", false, "True", "10.244.1.3"),
        ];
        assert_eq!(derive_target(&pods), Some(("x/c".to_owned(), "10.244.1.3".parse().unwrap(), 9153)));
        assert_eq!(derive_target(&pods[..2]), None);
    }

    #[test]
    fn a_node_of_any_shape_can_be_read() {
        let node = json!({
            "metadata": { "name": "n1" },
            "spec": { "unschedulable": true },
            "status": {
                "nodeInfo": { "machineID": "m", "bootID": "b", "kubeletVersion": "v1.36.3" },
                "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }, { "type": "Hostname", "address": "n1" }],
                "conditions": [{ "type": "Ready", "status": "True" }],
            },
        });
        let seen = derive_node(&node);
        assert_eq!((seen.machine_id.as_str(), seen.boot_id.as_str(), seen.addresses.len()), ("m", "b", 1));
        assert!(seen.unschedulable && seen.conditions.len() == 1 && seen.kubelet.is_some());
        assert_eq!(derive_node(&json!(7)), NodeView::default());
        assert_eq!(derive_others(&[node, json!(7)], "n2"), ["n1"]);
    }
}
