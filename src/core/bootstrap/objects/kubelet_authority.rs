//! Publishes the CA of kubelets' serving certificates for nodes and clients of kubelets.

use serde_json::{Value, json};

use super::rbac::{NODES_GROUP, render_config_map_reader};
use super::roles::group;

/// Name of the ConfigMap in kube-system; its key `ca.crt` holds the certificates, the signing one first.
pub const KUBELET_AUTHORITY: &str = "kubelet-serving-ca";

/// The ConfigMap and a Role that lets nodes read it.
pub fn render_kubelet_authority(ca: &str) -> Vec<Value> {
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": KUBELET_AUTHORITY, "namespace": "kube-system" },
        "data": { "ca.crt": ca },
    })];
    let readers = [group(NODES_GROUP)];
    objects.extend(render_config_map_reader("roost:kubelet-serving-ca", "kube-system", KUBELET_AUTHORITY, &readers));
    objects
}
