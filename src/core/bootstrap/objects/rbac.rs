//! Who may do what: administrators, bootstrap tokens, nodes, the API server at the kubelets, and our node agent.

use serde_json::{Value, json};

use super::ObjectsSpec;
use crate::core::bootstrap::key_handover;
use crate::core::model::json::put;

/// The group of every bootstrap token that may join nodes.
pub const BOOTSTRAP_GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";
/// The group of every kubelet.
pub const NODES_GROUP: &str = "system:nodes";

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// Cluster-wide bindings.
pub(super) fn render_cluster_rbac(spec: &ObjectsSpec) -> Vec<Value> {
    let bootstrappers = || group(BOOTSTRAP_GROUP);
    let nodes = || group(NODES_GROUP);
    let mut objects = vec![
        cluster_role_binding("kubeadm:cluster-admins", "cluster-admin", group("kubeadm:cluster-admins")),
        cluster_role_binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", bootstrappers()),
        cluster_role("kubeadm:get-nodes", json!([rule("", "nodes", &["get"])])),
        cluster_role_binding("kubeadm:get-nodes", "kubeadm:get-nodes", bootstrappers()),
        cluster_role_binding(
            "kubeadm:node-autoapprove-bootstrap",
            "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
            bootstrappers(),
        ),
        cluster_role_binding(
            "kubeadm:node-autoapprove-certificate-rotation",
            "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            nodes(),
        ),
        cluster_role_binding(
            "kubeadm:apiserver-kubelet-client",
            "system:kubelet-api-admin",
            user("kube-apiserver-kubelet-client"),
        ),
    ];
    objects.extend(render_serving_approver());
    objects.extend(render_api_server_reader());
    if spec.cloud_controller {
        objects.extend(super::cloud::render_rights());
    }
    if spec.builtin_network {
        // The node authorizer lets a kubelet read its own Node only; routes need the others' pod CIDRs and addresses.
        objects.push(cluster_role("roost:pod-network", json!([rule("", "nodes", &["get", "list", "watch"])])));
        objects.push(cluster_role_binding("roost:pod-network", "roost:pod-network", nodes()));
    }
    objects
}

/// Lets nodes, and those that become one, see where the API servers are.
fn render_api_server_reader() -> [Value; 2] {
    let mut read = rule("discovery.k8s.io", "endpointslices", &["get", "list", "watch"]);
    put(&mut read, &["resourceNames"], json!(["kubernetes"]));
    [
        json!({
            "apiVersion": RBAC, "kind": "Role",
            "metadata": { "name": API_SERVER_READER, "namespace": "default" },
            "rules": [read],
        }),
        json!({
            "apiVersion": RBAC, "kind": "RoleBinding",
            "metadata": { "name": API_SERVER_READER, "namespace": "default" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": API_SERVER_READER },
            "subjects": [group(BOOTSTRAP_GROUP), group(NODES_GROUP)],
        }),
    ]
}

const API_SERVER_READER: &str = "roost:api-servers";

/// The user of the agent of a control plane, which approves kubelet serving certificates and hands the shared keys to
/// joining control planes; and no more than it needs.
fn render_serving_approver() -> [Value; 2] {
    let rules = json!([
        rule("certificates.k8s.io", "certificatesigningrequests", &["get", "list", "watch"]),
        rule("certificates.k8s.io", "certificatesigningrequests/approval", &["update"]),
        rule("certificates.k8s.io", "certificatesigningrequests/status", &["update"]),
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"],
            "resourceNames": ["kubernetes.io/kubelet-serving"],
            "verbs": ["approve"],
        },
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"],
            "resourceNames": [key_handover::SIGNER],
            "verbs": ["approve", "sign"],
        },
        rule("", "nodes", &["get"]),
    ]);
    [
        cluster_role(SERVING_APPROVER, rules),
        cluster_role_binding(SERVING_APPROVER, SERVING_APPROVER, user(SERVING_APPROVER)),
    ]
}

/// Common name in the client certificate of the approver, and name of its role.
pub const SERVING_APPROVER: &str = "roost:kubelet-serving-approver";

/// A Role that lets `subjects` get one ConfigMap, with its binding of the same name.
pub(super) fn render_config_map_reader(
    name: &str,
    namespace: &str,
    config_map: &str,
    subjects: &[Value],
) -> [Value; 2] {
    let mut get = rule("", "configmaps", &["get"]);
    put(&mut get, &["resourceNames"], json!([config_map]));
    [
        json!({
            "apiVersion": RBAC, "kind": "Role",
            "metadata": { "name": name, "namespace": namespace },
            "rules": [get],
        }),
        json!({
            "apiVersion": RBAC, "kind": "RoleBinding",
            "metadata": { "name": name, "namespace": namespace },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
            "subjects": subjects,
        }),
    ]
}

/// Binds a ClusterRole to one subject.
pub(super) fn cluster_role_binding(name: &str, role: &str, subject: Value) -> Value {
    json!({
        "apiVersion": RBAC, "kind": "ClusterRoleBinding",
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [subject],
    })
}

/// A ClusterRole with these rules.
pub(super) fn cluster_role(name: &str, rules: Value) -> Value {
    json!({ "apiVersion": RBAC, "kind": "ClusterRole", "metadata": { "name": name }, "rules": rules })
}

/// A rule over one resource.
pub(super) fn rule(api_group: &str, resource: &str, verbs: &[&str]) -> Value {
    json!({ "apiGroups": [api_group], "resources": [resource], "verbs": verbs })
}

/// A group as a subject.
pub(super) fn group(name: &str) -> Value {
    json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name })
}

/// A user as a subject.
pub(super) fn user(name: &str) -> Value {
    json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name })
}

/// A service account of kube-system as a subject.
pub(super) fn service_account(name: &str) -> Value {
    json!({ "kind": "ServiceAccount", "name": name, "namespace": "kube-system" })
}
