//! CoreDNS: the cluster's DNS, two replicas behind the Service `kube-dns`.

use serde_json::{Value, json};

use super::roles::{cluster_role, cluster_role_binding, rule, service_account};
use super::{Addon, CONTROL_PLANE_LABEL, ObjectsSpec};
use crate::core::model::json::put;

/// Its objects; none if the user provides another DNS.
pub(super) fn render_coredns(spec: &ObjectsSpec) -> Vec<Value> {
    let Some(addon) = &spec.coredns else { return Vec::new() };
    vec![
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "coredns", "namespace": "kube-system" },
        }),
        cluster_role(
            "system:coredns",
            json!([
                {
                    "apiGroups": [""],
                    "resources": ["endpoints", "services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                rule("discovery.k8s.io", "endpointslices", &["list", "watch"]),
            ]),
        ),
        cluster_role_binding("system:coredns", "system:coredns", service_account("coredns")),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "coredns", "namespace": "kube-system" },
            "data": { "Corefile": render_corefile(&spec.dns_domain) },
        }),
        render_service(spec),
        render_deployment(addon),
    ]
}

/// The same plugins as in kubeadm's clusters, so that advice for those applies.
fn render_corefile(domain: &str) -> String {
    format!(
        ".:53 {{
    errors
    health {{
       lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    prometheus :9153
    forward . /etc/resolv.conf {{
       max_concurrent 1000
    }}
    cache 30 {{
       disable success {domain}
       disable denial {domain}
    }}
    loop
    reload
    loadbalance
}}
"
    )
}

fn render_service(spec: &ObjectsSpec) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
            "annotations": { "prometheus.io/port": "9153", "prometheus.io/scrape": "true" },
        },
        "spec": {
            "clusterIP": spec.dns_address().map(|address| address.to_string()),
            "selector": { "k8s-app": "kube-dns" },
            "ports": [
                { "name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53 },
                { "name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53 },
                { "name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153 },
            ],
        },
    })
}

fn render_deployment(addon: &Addon) -> Value {
    let labels = json!({ "k8s-app": "kube-dns" });
    let mut container = render_container(addon);
    let mut volumes = vec![json!({
        "name": "config-volume",
        "configMap": { "name": "coredns", "items": [{ "key": "Corefile", "path": "Corefile" }] },
    })];
    if let Some(binary) = &addon.host_binary {
        put(&mut container, &["command"], json!(["/coredns"]));
        if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
            mounts.push(json!({ "name": "program", "mountPath": "/coredns", "readOnly": true }));
        }
        volumes.push(json!({ "name": "program", "hostPath": { "path": binary, "type": "File" } }));
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "coredns", "namespace": "kube-system", "labels": labels },
        "spec": {
            "replicas": 2,
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } },
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "priorityClassName": "system-cluster-critical",
                    "serviceAccountName": "coredns",
                    "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
                        "weight": 100,
                        "podAffinityTerm": {
                            "labelSelector": { "matchExpressions": [
                                { "key": "k8s-app", "operator": "In", "values": ["kube-dns"] },
                            ] },
                            "topologyKey": "kubernetes.io/hostname",
                        },
                    }] } },
                    "tolerations": [
                        { "key": "CriticalAddonsOnly", "operator": "Exists" },
                        { "key": CONTROL_PLANE_LABEL, "effect": "NoSchedule" },
                    ],
                    "nodeSelector": { "kubernetes.io/os": "linux" },
                    "dnsPolicy": "Default",
                    "containers": [container],
                    "volumes": volumes,
                },
            },
        },
    })
}

fn render_container(addon: &Addon) -> Value {
    json!({
        "name": "coredns",
        "image": addon.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "resources": { "limits": { "memory": "170Mi" }, "requests": { "cpu": "100m", "memory": "70Mi" } },
        "ports": [
            { "name": "dns", "containerPort": 53, "protocol": "UDP" },
            { "name": "dns-tcp", "containerPort": 53, "protocol": "TCP" },
            { "name": "metrics", "containerPort": 9153, "protocol": "TCP" },
            { "name": "liveness-probe", "containerPort": 8080, "protocol": "TCP" },
            { "name": "readiness-probe", "containerPort": 8181, "protocol": "TCP" },
        ],
        "livenessProbe": {
            "httpGet": { "path": "/health", "port": "liveness-probe", "scheme": "HTTP" },
            "initialDelaySeconds": 60,
            "timeoutSeconds": 5,
            "successThreshold": 1,
            "failureThreshold": 5,
        },
        "readinessProbe": { "httpGet": { "path": "/ready", "port": "readiness-probe", "scheme": "HTTP" } },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "add": ["NET_BIND_SERVICE"], "drop": ["ALL"] },
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": [{ "name": "config-volume", "mountPath": "/etc/coredns", "readOnly": true }],
    })
}
