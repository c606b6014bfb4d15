//! The requests of bootstrap to an API server, against a real one (feature `node-tests`).
#![cfg(feature = "node-tests")]
#![allow(clippy::unwrap_used)]

mod control_plane;
mod who_may;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use control_plane::{ControlPlane, program};
use roost::adapters::apiserver::cluster_objects::ApiObjects;
use roost::adapters::apiserver::connect::connect;
use roost::adapters::apiserver::discovery::Discovery;
use roost::adapters::apiserver::node_networks::watch_node_networks;
use roost::agent::run_kubelet_requests;
use roost::bootstrap::{discovery, tokens};
use roost::core::bootstrap::discovery::{CaPin, Error as TrustError};
use roost::core::bootstrap::objects::{self, Addon, ObjectsSpec};
use roost::core::bootstrap::token::Token;
use roost::ports::bootstrap::{Applied, ClusterObjects, ObjectRef};
use serde_json::{Value, json};

fn spec(endpoint: &str) -> ObjectsSpec {
    let image = |name: &str| Addon { image: format!("registry.k8s.io/{name}"), host_binary: None };
    ObjectsSpec {
        cluster_name: "kubernetes".into(),
        kubernetes_version: "v1.36.3".into(),
        control_plane_endpoint: endpoint.into(),
        node_endpoint: endpoint.into(),
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

async fn admin(cluster: &ControlPlane) -> Arc<dyn ClusterObjects> {
    Arc::new(ApiObjects::new(connect(&cluster.kubeconfig("admin", &["system:masters"])).await.unwrap()))
}

async fn apply_all(cluster: &ControlPlane, objects: &dyn ClusterObjects) -> Vec<Applied> {
    let mut all = objects::render_objects(&spec(&cluster.endpoint));
    all.extend(objects::render_cluster_info(&cluster.endpoint, &cluster.ca()));
    let mut outcomes = Vec::new();
    for object in &all {
        // The server creates its own namespaces some moments after it is ready.
        let mut tries = 0;
        outcomes.push(loop {
            match objects.apply(object).await {
                Err(error) if error.is_transient() && tries < 50 => tries += 1,
                outcome => break outcome.unwrap(),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        });
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_accepted_and_a_second_apply_changes_nothing() {
    let cluster = ControlPlane::start().await;
    let objects = admin(&cluster).await;
    let first = apply_all(&cluster, objects.as_ref()).await;
    assert!(first.iter().all(|outcome| *outcome == Applied::Changed), "{first:?}");
    let second = apply_all(&cluster, objects.as_ref()).await;
    assert!(second.iter().all(|outcome| *outcome == Applied::Unchanged), "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_trusts_the_cluster_by_token_and_pin_and_nothing_else() {
    let cluster = ControlPlane::start().await;
    let objects = admin(&cluster).await;
    apply_all(&cluster, objects.as_ref()).await;
    let token: Token = "abcdef.0123456789abcdef".parse().unwrap();
    tokens::create(objects.as_ref(), &token, None, Some("test"), false).await.unwrap();
    assert!(matches!(tokens::create(objects.as_ref(), &token, None, None, false).await, Err(tokens::Error::Exists(_))));
    assert_eq!(tokens::list(objects.as_ref()).await.unwrap()[0].description.as_deref(), Some("test"));
    let command = tokens::join_command(objects.as_ref(), &token, false).await.unwrap();
    let pin = CaPin::of_pem(cluster.ca().as_bytes()).unwrap()[0];
    assert_eq!(command, format!("bootstrap join {} --token abcdef.0123456789abcdef --ca-hash {pin}", cluster.endpoint));

    let trusted = discovery::discover(&Discovery, &cluster.endpoint, &token, &[pin]).await.unwrap();
    assert_eq!(trusted.ca, cluster.ca());
    let wrong_pin: CaPin = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let refused = discovery::discover(&Discovery, &cluster.endpoint, &token, &[wrong_pin]).await;
    assert!(matches!(refused, Err(discovery::Error::Trust(TrustError::WrongCa { .. }))), "{refused:?}");

    // What a joining node may read with its token, and what not.
    let joining = roost::ports::bootstrap::ClusterDiscovery::connect(
        &Discovery,
        &trusted.server,
        &trusted.ca,
        Some(&token.reveal()),
    )
    .unwrap();
    let config = ObjectRef::new("v1", "ConfigMap", Some("kube-system"), "kubeadm-config");
    assert!(joining.get(&config).await.unwrap().is_some());
    let coredns = ObjectRef::new("v1", "ConfigMap", Some("kube-system"), "coredns");
    assert!(joining.get(&coredns).await.is_err());

    tokens::delete(objects.as_ref(), "abcdef").await.unwrap();
    assert!(matches!(tokens::delete(objects.as_ref(), "abcdef").await, Err(tokens::Error::Absent(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn kubeadm_reads_its_configuration_and_joins_by_our_token() {
    let cluster = ControlPlane::start().await;
    let objects = admin(&cluster).await;
    apply_all(&cluster, objects.as_ref()).await;
    let token: Token = "abcdef.0123456789abcdef".parse().unwrap();
    tokens::create(objects.as_ref(), &token, None, None, false).await.unwrap();
    let kubeadm = |arguments: &[&str]| {
        let output = Command::new(program("kubeadm")).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let admin = cluster.path("admin.conf").display().to_string();
    let (listed, text) = kubeadm(&["token", "list", "--kubeconfig", &admin]);
    assert!(listed && text.contains("abcdef.0123456789abcdef"), "{text}");
    let (created, text) = kubeadm(&["token", "create", "--print-join-command", "--kubeconfig", &admin]);
    let pin = CaPin::of_pem(cluster.ca().as_bytes()).unwrap()[0];
    assert!(created && text.contains(&pin.to_string()), "{text}");
    // kubeadm's dry run does not wait for the signature.
    discovery::discover(&Discovery, &cluster.endpoint, &token, &[pin]).await.unwrap();
    // A dry run does everything that reads the cluster: discovery, kubeadm-config, kubelet-config, kube-proxy.
    let (joined, text) = kubeadm(&[
        "join",
        &cluster.endpoint,
        "--token",
        &token.reveal(),
        "--discovery-token-ca-cert-hash",
        &pin.to_string(),
        "--dry-run",
        "--ignore-preflight-errors=all",
        "--node-name=n2",
        "--cri-socket=unix:///nonexistent.sock",
        "-v=1",
    ]);
    assert!(joined, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_hears_of_all_nodes_and_their_pod_subnets() {
    let cluster = ControlPlane::start().await;
    let objects = admin(&cluster).await;
    apply_all(&cluster, objects.as_ref()).await;
    let mut nodes = watch_node_networks(cluster.kubeconfig("system:node:n1", &["system:nodes"]));
    for name in ["n1", "n2"] {
        objects.apply(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } })).await.unwrap();
    }
    let complete = nodes.wait_for(|nodes| {
        nodes.as_ref().is_some_and(|nodes| nodes.len() == 2 && nodes.iter().all(|node| !node.pod_cidrs.is_empty()))
    });
    tokio::time::timeout(Duration::from_secs(30), complete).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serving_request_is_approved_once_the_node_has_the_names_it_asks_for() {
    let cluster = ControlPlane::start().await;
    let objects = admin(&cluster).await;
    apply_all(&cluster, objects.as_ref()).await;
    let approving = tokio::spawn(run_kubelet_requests(who_may::approver(&cluster)));

    let node = connect(&cluster.kubeconfig("system:node:n1", &["system:nodes"])).await.unwrap();
    let kubelet = ApiObjects::new(node);
    kubelet.create(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } })).await.unwrap();
    for (name, address) in [("good", "10.0.0.1"), ("foreign", "10.0.0.9")] {
        kubelet.create(&serving_request(name, address)).await.unwrap();
    }
    let status = json!({ "status": { "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }] } });
    let client = connect(&cluster.path("system-node-n1.conf")).await.unwrap();
    let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(client);
    nodes.patch_status("n1", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(status)).await.unwrap();

    let request = |name: &str| ObjectRef::new("certificates.k8s.io/v1", "CertificateSigningRequest", None, name);
    let mut issued = false;
    for _ in 0..100 {
        let good = objects.get(&request("good")).await.unwrap().unwrap();
        issued = good.pointer("/status/certificate").is_some();
        if issued {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(issued, "the request of the node was not approved and signed");
    let foreign = objects.get(&request("foreign")).await.unwrap().unwrap();
    assert!(foreign.pointer("/status/conditions").is_none(), "{foreign}");
    approving.abort();
}

fn serving_request(name: &str, address: &str) -> Value {
    use base64::Engine;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(rcgen::DnType::CommonName, "system:node:n1");
    params.subject_alt_names.push(rcgen::SanType::DnsName("n1".try_into().unwrap()));
    params.subject_alt_names.push(rcgen::SanType::IpAddress(address.parse().unwrap()));
    let pem = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "name": name },
        "spec": {
            "signerName": "kubernetes.io/kubelet-serving",
            "usages": ["digital signature", "server auth"],
            "request": base64::engine::general_purpose::STANDARD.encode(pem),
        },
    })
}
