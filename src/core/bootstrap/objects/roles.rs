//! Builders of roles, rules and subjects.

use serde_json::{Value, json};

/// API version of RBAC objects.
pub(super) const RBAC: &str = "rbac.authorization.k8s.io/v1";

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
