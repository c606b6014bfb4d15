//! Whole sets of objects, for review as snapshots.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;

fn spec() -> ObjectsSpec {
    let image = |name: &str| Addon { image: format!("registry.k8s.io/{name}"), host_binary: None };
    ObjectsSpec {
        cluster_name: "kubernetes".into(),
        kubernetes_version: "v1.36.3".into(),
        control_plane_endpoint: "10.0.0.1:6443".into(),
        node_endpoint: "127.0.0.1:6444".into(),
        service_subnets: vec!["10.96.0.0/12".parse().unwrap()],
        pod_subnets: vec!["10.244.0.0/16".parse().unwrap()],
        dns_domain: "cluster.local".into(),
        certificates_directory: "/etc/kubernetes/pki".into(),
        manifests_directory: "/etc/kubernetes/manifests".into(),
        etcd_data_directory: "/var/lib/etcd".into(),
        external_etcd: None,
        hardening: false,
        image_repository: "registry.k8s.io".into(),
        cgroup_driver: "systemd".into(),
        kubelet_configuration: Value::Null,
        kube_proxy_mode: "nftables".into(),
        builtin_network: true,
        cloud_controller: false,
        kube_proxy_configuration: Value::Null,
        coredns: Some(image("coredns/coredns:v1.14.2")),
        kube_proxy: Some(image("kube-proxy:v1.36.3")),
    }
}

fn names(objects: &[Value]) -> Vec<String> {
    objects.iter().map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "")).collect()
}

#[test]
fn the_default_cluster_has_these_objects() {
    insta::assert_yaml_snapshot!(render_objects(&spec()));
}

#[test]
fn cluster_info_holds_the_address_and_the_ca() {
    insta::assert_yaml_snapshot!(render_cluster_info("10.0.0.1:6443", "-----BEGIN CERTIFICATE-----\n"));
}

#[test]
fn host_programs_are_mounted_over_an_image_without_bytes() {
    let host = Addon { image: "roost.local/host:1".into(), host_binary: Some("/opt/bin/program".into()) };
    let spec = ObjectsSpec { coredns: Some(host.clone()), kube_proxy: Some(host), ..spec() };
    for object in render_objects(&spec) {
        if let Some(pod) = object.pointer("/spec/template/spec") {
            let program = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "program").unwrap();
            assert_eq!(program["hostPath"], json!({ "path": "/opt/bin/program", "type": "File" }));
            let command = &pod["containers"][0]["command"][0];
            let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
            assert!(mounts.iter().any(|mount| &mount["mountPath"] == command), "{command}");
        }
    }
}

#[test]
fn add_ons_and_the_pod_network_can_be_left_out() {
    let spec = ObjectsSpec { coredns: None, kube_proxy: None, builtin_network: false, ..spec() };
    let names = names(&render_objects(&spec)).join("\n");
    for absent in ["coredns", "kube-proxy", "node-proxier", "pod-network", "Deployment", "DaemonSet"] {
        assert!(!names.contains(absent), "{absent} in:\n{names}");
    }
}

#[test]
fn kube_proxy_from_a_program_of_the_host_calls_the_tools_of_the_host() {
    for (program, folder, path) in [
        ("/usr/local/bin/kube-proxy", "/usr", "/usr/sbin:/usr/bin"),
        ("/nix/store/x-kubernetes/bin/kube-proxy", "/nix", "/run/current-system/sw/bin"),
    ] {
        let host = Addon { image: "scratch".to_owned(), host_binary: Some(program.to_owned()) };
        let objects = render_objects(&ObjectsSpec { kube_proxy: Some(host), ..spec() });
        let pod = &objects.iter().find(|o| o["kind"] == "DaemonSet").unwrap()["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert_eq!(container["command"][0], "/kube-proxy");
        assert!(mounts.iter().any(|m| m["mountPath"] == folder && m["readOnly"] == true), "{mounts:?}");
        assert!(!mounts.iter().any(|m| m["mountPath"] == "/lib/modules"), "it is inside /lib");
        assert!(container["env"].as_array().unwrap().contains(&json!({ "name": "PATH", "value": path })));
    }
}

#[test]
fn settings_of_the_user_are_laid_over_component_configurations() {
    let spec = ObjectsSpec {
        kubelet_configuration: json!({ "maxPods": 250, "authentication": { "anonymous": { "enabled": true } } }),
        ..spec()
    };
    let rendered = render_kubelet_configuration(&spec);
    assert_eq!(rendered["maxPods"], 250);
    assert_eq!(rendered["authentication"]["anonymous"]["enabled"], true);
    assert_eq!(rendered["authentication"]["webhook"]["enabled"], true);
}

#[test]
fn a_token_secret_reads_back_without_its_secret_half() {
    let token = "abcdef.0123456789abcdef".parse().unwrap();
    let secret = render_token_secret(&token, Some("2026-01-02T03:04:05.678Z".parse().unwrap()), Some("for n2"), false);
    assert_eq!(secret["metadata"]["name"], "bootstrap-token-abcdef");
    let data = secret["data"].as_object().unwrap();
    let data =
        data.iter().map(|(key, value)| (key.clone(), STANDARD.decode(value.as_str().unwrap()).unwrap())).collect();
    let observed = parse_token_secret(&data).unwrap();
    assert_eq!(
        observed,
        ObservedToken {
            id: "abcdef".into(),
            expires: Some("2026-01-02T03:04:05Z".into()),
            usages: vec!["authentication".into(), "signing".into()],
            groups: vec!["system:bootstrappers:kubeadm:default-node-token".into()],
            description: Some("for n2".into()),
        }
    );
}

#[test]
fn the_dns_service_has_the_tenth_address() {
    assert_eq!(spec().dns_address().unwrap().to_string(), "10.96.0.10");
    assert_eq!(nth_address(&"fd00::/112".parse().unwrap(), 10).unwrap().to_string(), "fd00::a");
    assert_eq!(nth_address(&"10.0.0.0/30".parse().unwrap(), 10), None);
}
