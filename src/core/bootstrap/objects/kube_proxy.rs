//! kube-proxy as a DaemonSet like kubeadm's, in nftables mode by default. As a host program it uses the host's tools.

use serde_json::{Value, json};

use super::rbac::{BOOTSTRAP_GROUP, render_config_map_reader};
use super::roles::{cluster_role_binding, group, service_account};
use super::yaml::{merge, render_yaml};
use super::{Addon, ObjectsSpec, join_subnets};
use crate::core::bootstrap::pod_parts::VERSION_ANNOTATION;
use crate::core::model::json::put;

/// Without protocol names nft prints numbers; a restarted kube-proxy then does not recognize its own rules and removes
/// what it needs. A scratch image and minimal systems have no such file (netbase).
const PROTOCOLS: &str = "icmp 1\ntcp 6\nudp 17\nipv6-icmp 58\nsctp 132\n";

const IN_CONTAINER: &str = "/var/lib/kube-proxy";

/// Its objects; none if kube-proxy is disabled.
pub(super) fn render_kube_proxy(spec: &ObjectsSpec) -> Vec<Value> {
    let Some(addon) = &spec.kube_proxy else { return Vec::new() };
    let mut objects = vec![
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "kube-proxy", "namespace": "kube-system" },
        }),
        cluster_role_binding("kubeadm:node-proxier", "system:node-proxier", service_account("kube-proxy")),
    ];
    objects.extend(render_configuration(spec, &format!("{IN_CONTAINER}/kubeconfig.conf")));
    objects.push(render_daemon_set(addon, &spec.kubernetes_version));
    objects
}

/// The ConfigMap `kube-proxy`, readable by joining nodes.
fn render_configuration(spec: &ObjectsSpec, kubeconfig: &str) -> Vec<Value> {
    let mut configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": match spec.service_subnets.first() {
            Some(ipnet::IpNet::V6(_)) => "::",
            _ => "0.0.0.0",
        },
        "clientConnection": { "kubeconfig": kubeconfig },
        "clusterCIDR": join_subnets(&spec.pod_subnets),
        "mode": spec.kube_proxy_mode,
    });
    merge(&mut configuration, &spec.kube_proxy_configuration);
    let service_account_files = "/var/run/secrets/kubernetes.io/serviceaccount";
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "default",
            "cluster": {
                "certificate-authority": format!("{service_account_files}/ca.crt"),
                "server": format!("https://{}", spec.node_endpoint),
            },
        }],
        "contexts": [{ "name": "default", "context": { "cluster": "default", "namespace": "default", "user": "default" } }],
        "current-context": "default",
        "users": [{ "name": "default", "user": { "tokenFile": format!("{service_account_files}/token") } }],
    });
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "kube-proxy", "namespace": "kube-system", "labels": { "app": "kube-proxy" } },
        "data": {
            "config.conf": render_yaml(&configuration),
            "kubeconfig.conf": render_yaml(&kubeconfig),
            "protocols": PROTOCOLS,
        },
    })];
    objects.extend(render_config_map_reader("kube-proxy", "kube-system", "kube-proxy", &[group(BOOTSTRAP_GROUP)]));
    objects
}

/// Folders with the host's `nft` or `iptables`, which kube-proxy calls and a scratch image does not have, and its
/// `PATH`.
fn tools_of_host(program: &str) -> (&'static [&'static str], &'static str) {
    if program.starts_with("/nix/") {
        (&["/nix", "/run/current-system"], "/run/current-system/sw/bin")
    } else {
        (&["/usr", "/lib", "/lib64", "/etc/alternatives"], "/usr/sbin:/usr/bin")
    }
}

fn render_daemon_set(addon: &Addon, version: &str) -> Value {
    let mut program = "/usr/local/bin/kube-proxy";
    let mut mounts = vec![
        json!({ "mountPath": IN_CONTAINER, "name": "kube-proxy" }),
        json!({ "mountPath": "/run/xtables.lock", "name": "xtables-lock" }),
        json!({ "mountPath": "/etc/protocols", "name": "kube-proxy", "subPath": "protocols", "readOnly": true }),
    ];
    let mut volumes = vec![
        json!({ "name": "kube-proxy", "configMap": { "name": "kube-proxy" } }),
        json!({ "name": "xtables-lock", "hostPath": { "path": "/run/xtables.lock", "type": "FileOrCreate" } }),
    ];
    let mut env = vec![json!({
        "name": "NODE_NAME",
        "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } },
    })];
    if let Some(binary) = &addon.host_binary {
        // Outside of the folders mounted from the host.
        program = "/kube-proxy";
        mounts.push(json!({ "mountPath": program, "name": "program", "readOnly": true }));
        volumes.push(json!({ "name": "program", "hostPath": { "path": binary, "type": "File" } }));
        let (folders, path) = tools_of_host(binary);
        for (n, folder) in folders.iter().enumerate() {
            let name = format!("tools-{n}");
            mounts.push(json!({ "mountPath": folder, "name": name, "readOnly": true }));
            volumes.push(json!({ "name": name, "hostPath": { "path": folder } }));
        }
        env.push(json!({ "name": "PATH", "value": path }));
    } else {
        mounts.push(json!({ "mountPath": "/lib/modules", "name": "lib-modules", "readOnly": true }));
        volumes.push(json!({ "name": "lib-modules", "hostPath": { "path": "/lib/modules" } }));
    }
    let mut template_metadata = json!({ "labels": { "k8s-app": "kube-proxy" } });
    if addon.host_binary.is_some() {
        // A new version at the same path must create a new pod.
        put(&mut template_metadata, &["annotations"], json!({ VERSION_ANNOTATION: version }));
    }
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": { "name": "kube-proxy", "namespace": "kube-system", "labels": { "k8s-app": "kube-proxy" } },
        "spec": {
            "selector": { "matchLabels": { "k8s-app": "kube-proxy" } },
            "updateStrategy": { "type": "RollingUpdate" },
            "template": {
                "metadata": template_metadata,
                "spec": {
                    "priorityClassName": "system-node-critical",
                    "hostNetwork": true,
                    "serviceAccountName": "kube-proxy",
                    "nodeSelector": { "kubernetes.io/os": "linux" },
                    "tolerations": [{ "operator": "Exists" }],
                    "containers": [{
                        "name": "kube-proxy",
                        "image": addon.image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": [
                            program,
                            format!("--config={IN_CONTAINER}/config.conf"),
                            "--hostname-override=$(NODE_NAME)",
                        ],
                        "env": env,
                        "securityContext": { "privileged": true },
                        "volumeMounts": mounts,
                    }],
                    "volumes": volumes,
                },
            },
        },
    })
}
