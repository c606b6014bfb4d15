//! `cluster-info`: the API's URL and CA, readable by anyone, signed for each token by the controller manager's
//! bootstrap signer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::rbac::{NODES_GROUP, render_config_map_reader};
use super::roles::{group, user};
use super::yaml::render_yaml;

/// The ConfigMap, the Role and its binding to anonymous users and nodes. `ca` is the cluster's CA in PEM.
pub fn render_cluster_info(control_plane_endpoint: &str, ca: &str) -> Vec<Value> {
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "",
            "cluster": {
                "certificate-authority-data": STANDARD.encode(ca),
                "server": format!("https://{control_plane_endpoint}"),
            },
        }],
        "contexts": null,
        "current-context": "",
        "users": null,
    });
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "cluster-info", "namespace": "kube-public" },
        "data": { "kubeconfig": render_yaml(&kubeconfig) },
    })];
    // Nodes read it to follow a CA rotation.
    let readers = [user("system:anonymous"), group(NODES_GROUP)];
    objects.extend(render_config_map_reader(
        "kubeadm:bootstrap-signer-clusterinfo",
        "kube-public",
        "cluster-info",
        &readers,
    ));
    objects
}
