//! `kubeadm-config`, `kubelet-config`, and `roost-config` for settings that those have no field for: what a joining
//! node must know.

use serde_json::{Value, json};

use super::rbac::{BOOTSTRAP_GROUP, NODES_GROUP, render_config_map_reader};
use super::roles::group;
use super::yaml::{merge, render_yaml};
use super::{ObjectsSpec, join_subnets};
use crate::core::bootstrap::hardening::kubelet_fields;
use crate::core::model::json::put;

/// The ConfigMaps, readable by bootstrap tokens and nodes.
pub(super) fn render_config_maps(spec: &ObjectsSpec) -> Vec<Value> {
    let mut objects = vec![
        config_map("kubeadm-config", "ClusterConfiguration", render_yaml(&render_cluster_configuration(spec))),
        config_map("kubelet-config", "kubelet", render_yaml(&render_kubelet_configuration(spec))),
        config_map(
            "roost-config",
            "cluster",
            render_yaml(&json!({
                "api": { "balancer": spec.node_endpoint != spec.control_plane_endpoint },
                "network": { "builtin": spec.builtin_network },
                "security": { "hardening": spec.hardening },
            })),
        ),
    ];
    let readers = [group(BOOTSTRAP_GROUP), group(NODES_GROUP)];
    objects.extend(render_config_map_reader("kubeadm:nodes-kubeadm-config", "kube-system", "kubeadm-config", &readers));
    objects.extend(render_config_map_reader("kubeadm:kubelet-config", "kube-system", "kubelet-config", &readers));
    objects.extend(render_config_map_reader("roost:nodes-config", "kube-system", "roost-config", &readers));
    objects
}

fn config_map(name: &str, key: &str, content: String) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "kube-system" },
        "data": { key: content },
    })
}

/// kubeadm's `ClusterConfiguration` (v1beta4), complete enough for `kubeadm join` and `kubeadm certs`.
pub fn render_cluster_configuration(spec: &ObjectsSpec) -> Value {
    let mut networking = json!({
        "dnsDomain": spec.dns_domain,
        "serviceSubnet": join_subnets(&spec.service_subnets),
    });
    if !spec.pod_subnets.is_empty() {
        put(&mut networking, &["podSubnet"], join_subnets(&spec.pod_subnets));
    }
    json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "apiServer": {},
        "caCertificateValidityPeriod": "87600h0m0s",
        "certificateValidityPeriod": "8760h0m0s",
        "certificatesDir": spec.certificates_directory,
        "clusterName": spec.cluster_name,
        "controlPlaneEndpoint": spec.control_plane_endpoint,
        "controllerManager": {},
        "dns": { "disabled": spec.coredns.is_none() },
        "encryptionAlgorithm": "RSA-2048",
        "etcd": match &spec.external_etcd {
            None => json!({ "local": { "dataDir": spec.etcd_data_directory } }),
            Some(etcd) => json!({ "external": {
                "endpoints": etcd.endpoints, "caFile": etcd.ca, "certFile": etcd.certificate, "keyFile": etcd.key,
            } }),
        },
        "imageRepository": spec.image_repository,
        "kubernetesVersion": spec.kubernetes_version,
        "networking": networking,
        "proxy": { "disabled": spec.kube_proxy.is_none() },
        "scheduler": {},
    })
}

/// The `KubeletConfiguration` that all nodes start from: kubeadm's defaults, plus serving certificates signed by the
/// cluster.
pub fn render_kubelet_configuration(spec: &ObjectsSpec) -> Value {
    let mut configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": format!("{}/ca.crt", spec.certificates_directory) },
        },
        "authorization": { "mode": "Webhook" },
        "cgroupDriver": spec.cgroup_driver,
        "clusterDNS": spec.dns_address().map(|address| address.to_string()).into_iter().collect::<Vec<_>>(),
        "clusterDomain": spec.dns_domain,
        // Running on cgroup v1 is the operator's choice; the kubelet logs a warning.
        "failCgroupV1": false,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "rotateCertificates": true,
        "serverTLSBootstrap": true,
        "staticPodPath": spec.manifests_directory,
    });
    if spec.hardening {
        merge(&mut configuration, &kubelet_fields());
    }
    merge(&mut configuration, &spec.kubelet_configuration);
    configuration
}
