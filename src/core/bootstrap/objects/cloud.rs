//! Permissions of a cloud controller manager, as the Kubernetes guide to running one lists them
//! (kubernetes.io/docs/concepts/architecture/cloud-controller).

use serde_json::{Value, json};

use super::roles::{cluster_role, cluster_role_binding, rule, user};

/// User name in its client certificate.
pub const CLOUD_CONTROLLER: &str = "system:cloud-controller-manager";

pub(super) fn render_rights() -> Vec<Value> {
    let rules = json!([
        rule("", "events", &["create", "patch", "update"]),
        rule("", "nodes", &["get", "list", "watch", "update", "patch", "delete"]),
        rule("", "nodes/status", &["patch"]),
        rule("", "services", &["get", "list", "watch", "patch", "update"]),
        rule("", "services/status", &["patch", "update"]),
        rule("", "serviceaccounts", &["create", "get", "list", "watch", "update"]),
        rule("", "serviceaccounts/token", &["create"]),
        rule("", "persistentvolumes", &["get", "list", "watch", "update"]),
        rule("", "endpoints", &["create", "get", "list", "watch", "update"]),
        rule("discovery.k8s.io", "endpointslices", &["get", "list", "watch"]),
        rule("coordination.k8s.io", "leases", &["create", "get", "list", "watch", "update"]),
    ]);
    let reader = "extension-apiserver-authentication-reader";
    vec![
        cluster_role(CLOUD_CONTROLLER, rules),
        cluster_role_binding(CLOUD_CONTROLLER, CLOUD_CONTROLLER, user(CLOUD_CONTROLLER)),
        // It delegates authentication of metrics clients to the API server.
        cluster_role_binding("system:cloud-controller-manager:auth", "system:auth-delegator", user(CLOUD_CONTROLLER)),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": CLOUD_CONTROLLER, "namespace": "kube-system" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": reader },
            "subjects": [user(CLOUD_CONTROLLER)],
        }),
    ]
}
