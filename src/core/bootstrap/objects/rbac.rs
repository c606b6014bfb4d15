//! RBAC of administrators, bootstrap tokens, nodes, the API server as a client of kubelets, and our node agent.

use serde_json::{Value, json};

use super::ObjectsSpec;
use super::roles::{RBAC, cluster_role, cluster_role_binding, group, rule, user};
use crate::core::bootstrap::{key_handover, kubelet_requests};
use crate::core::model::json::put;

/// The group of every bootstrap token that may join nodes.
pub const BOOTSTRAP_GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";
/// The group of every kubelet.
pub const NODES_GROUP: &str = "system:nodes";

/// ClusterRoles and their bindings.
pub(super) fn render_cluster_rbac(spec: &ObjectsSpec) -> Vec<Value> {
    let bootstrappers = || group(BOOTSTRAP_GROUP);
    let nodes = || group(NODES_GROUP);
    let mut objects = vec![
        cluster_role_binding("kubeadm:cluster-admins", "cluster-admin", group("kubeadm:cluster-admins")),
        cluster_role_binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", bootstrappers()),
        cluster_role("kubeadm:get-nodes", json!([rule("", "nodes", &["get"])])),
        cluster_role_binding("kubeadm:get-nodes", "kubeadm:get-nodes", bootstrappers()),
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
        // The node authorizer lets a kubelet read only its own Node; routes need pod CIDRs and addresses of all nodes.
        objects.push(cluster_role("roost:pod-network", json!([rule("", "nodes", &["get", "list", "watch"])])));
        objects.push(cluster_role_binding("roost:pod-network", "roost:pod-network", nodes()));
    }
    objects
}

/// Lets nodes and joining nodes read the addresses of the API servers.
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
            "subjects": [group(BOOTSTRAP_GROUP), group(NODES_GROUP), user(SERVING_APPROVER)],
        }),
    ]
}

/// Permissions that kubeadm grants bootstrap tokens and our clusters do not: with them upstream's controller approves
/// any node's name. Our agent decides instead (`kubelet_requests`).
pub fn render_revoked_rbac() -> Vec<Value> {
    let name = "kubeadm:node-autoapprove-bootstrap";
    let role = "system:certificates.k8s.io:certificatesigningrequests:nodeclient";
    vec![cluster_role_binding(name, role, group(BOOTSTRAP_GROUP))]
}

const API_SERVER_READER: &str = "roost:api-servers";

/// Permissions of the agent on a control plane, which approves kubelets' certificates and hands the shared keys to
/// joining control planes; nothing more.
fn render_serving_approver() -> Vec<Value> {
    let rules = json!([
        rule("certificates.k8s.io", "certificatesigningrequests", &["get", "list", "watch"]),
        rule("certificates.k8s.io", "certificatesigningrequests/approval", &["update"]),
        rule("certificates.k8s.io", "certificatesigningrequests/status", &["update"]),
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"],
            "resourceNames": [kubelet_requests::SERVING_SIGNER, kubelet_requests::CLIENT_SIGNER],
            "verbs": ["approve"],
        },
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"],
            "resourceNames": [key_handover::SIGNER],
            "verbs": ["approve", "sign"],
        },
        // To know which names and addresses are taken.
        rule("", "nodes", &["list"]),
        rule("", "services", &["list"]),
    ]);
    let mut objects = vec![
        cluster_role(SERVING_APPROVER, rules),
        cluster_role_binding(SERVING_APPROVER, SERVING_APPROVER, user(SERVING_APPROVER)),
    ];
    let reader = [user(SERVING_APPROVER)];
    objects.extend(render_config_map_reader(SERVING_APPROVER, "kube-system", "kubeadm-config", &reader));
    // To mark tokens as used. The holder of these credentials has access to the cluster's keys anyway.
    objects.push(json!({
        "apiVersion": RBAC, "kind": "Role",
        "metadata": { "name": TOKEN_USER, "namespace": "kube-system" },
        "rules": [rule("", "secrets", &["get", "update"])],
    }));
    objects.push(json!({
        "apiVersion": RBAC, "kind": "RoleBinding",
        "metadata": { "name": TOKEN_USER, "namespace": "kube-system" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": TOKEN_USER },
        "subjects": reader,
    }));
    objects
}

const TOKEN_USER: &str = "roost:control-plane-tokens";

/// Common name in the approver's client certificate, and name of its role.
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
