//! Who gets which certificate and the cluster's keys, with a real API server.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roost::adapters::apiserver::cluster_objects::ApiObjects;
use roost::adapters::apiserver::connect::connect;
use roost::adapters::apiserver::discovery::Discovery;
use roost::adapters::apiserver::key_handover::{CsrHandover, CsrHandoverRequests};
use roost::adapters::apiserver::kubelet_requests::{ApiKubeletRequests, OwnControlPlane};
use roost::adapters::fs::node_files::HostFiles;
use roost::agent::{run_key_handover, run_kubelet_requests};
use roost::bootstrap::tokens;
use roost::core::bootstrap::key_handover::{SHARED_FILES, Wanted};
use roost::core::bootstrap::token::Token;
use roost::ports::bootstrap::{ClusterDiscovery, ClusterObjects, KeyHandover, KubeletRequests, ObjectRef};
use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::{admin, apply_all};

const SERVING: (&str, &str) = ("kubernetes.io/kubelet-serving", "server auth");
const CLIENT: (&str, &str) = ("kubernetes.io/kube-apiserver-client-kubelet", "client auth");

/// The approver of a control plane on another node than the requesting one.
pub fn approver(cluster: &ControlPlane) -> Box<dyn KubeletRequests> {
    let own = OwnControlPlane { node_name: "cp".to_owned(), certificate: cluster.path("apiserver.crt"), cloud: false };
    Box::new(ApiKubeletRequests::new(cluster.kubeconfig("roost:kubelet-serving-approver", &[]), own))
}

fn request(name: &str, (signer, usage): (&str, &str), node: &str, sans: Vec<rcgen::SanType>) -> Value {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("system:node:{node}"));
    params.subject_alt_names = sans;
    let pem = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "name": name },
        "spec": { "signerName": signer, "usages": ["digital signature", usage], "request": STANDARD.encode(pem) },
    })
}

fn dns(name: &str) -> rcgen::SanType {
    rcgen::SanType::DnsName(name.try_into().unwrap())
}

/// The outcome of a request: a certificate, or the message of its denial.
async fn outcome(objects: &dyn ClusterObjects, name: &str) -> Result<(), String> {
    let request = ObjectRef::new("certificates.k8s.io/v1", "CertificateSigningRequest", None, name);
    for _ in 0..600 {
        let seen = objects.get(&request).await.unwrap().unwrap();
        if seen.pointer("/status/certificate").is_some() {
            return Ok(());
        }
        let conditions = seen["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if let Some(denied) = conditions.iter().find(|condition| condition["type"] == "Denied") {
            return Err(denied["message"].as_str().unwrap_or_default().to_owned());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{name} was not decided");
}

async fn by_token(cluster: &ControlPlane, objects: &dyn ClusterObjects, token: &str) -> Arc<dyn ClusterObjects> {
    let token: Token = token.parse().unwrap();
    tokens::create(objects, &token, None, None, false).await.unwrap();
    let server = format!("https://{}", cluster.endpoint);
    Discovery.connect(&server, &cluster.ca(), Some(&token.reveal())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gets_no_certificate_for_names_that_it_wrote_into_its_node() {
    let cluster = ControlPlane::start().await;
    let objects = admin(&cluster).await;
    apply_all(&cluster, objects.as_ref()).await;
    let approving = tokio::spawn(run_kubelet_requests(approver(&cluster)));
    let node = connect(&cluster.kubeconfig("system:node:n1", &["system:nodes"])).await.unwrap();
    let kubelet = ApiObjects::new(node.clone());
    kubelet.create(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } })).await.unwrap();
    let status = json!({ "status": { "addresses": [
        { "type": "Hostname", "address": "n1" },
        { "type": "InternalDNS", "address": "kubernetes.default.svc" },
        { "type": "InternalIP", "address": "10.96.0.1" },
    ] } });
    let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(node);
    nodes.patch_status("n1", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(status)).await.unwrap();
    let address = rcgen::SanType::IpAddress("10.96.0.1".parse().unwrap());
    for (name, sans) in [("by-name", vec![dns("kubernetes.default.svc")]), ("by-address", vec![dns("n1"), address])] {
        kubelet.create(&request(name, SERVING, "n1", sans)).await.unwrap();
        let denied = outcome(objects.as_ref(), name).await.unwrap_err();
        assert!(denied.contains("belongs to Services"), "{denied}");
    }
    kubelet.create(&request("own", SERVING, "n1", vec![dns("n1")])).await.unwrap();
    assert_eq!(outcome(objects.as_ref(), "own").await, Ok(()));
    approving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_token_becomes_a_new_node_and_none_that_is_there() {
    let cluster = ControlPlane::start().await;
    let objects = admin(&cluster).await;
    apply_all(&cluster, objects.as_ref()).await;
    objects.apply(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } })).await.unwrap();
    let first = by_token(&cluster, objects.as_ref(), "abcdef.0123456789abcdef").await;
    let second = by_token(&cluster, objects.as_ref(), "ghijkl.0123456789abcdef").await;
    // Two approvers, as on two control planes; both tokens request one name before either is decided.
    first.create(&request("first", CLIENT, "n4", Vec::new())).await.unwrap();
    second.create(&request("second", CLIENT, "n4", Vec::new())).await.unwrap();
    first.create(&request("taken", CLIENT, "n1", Vec::new())).await.unwrap();
    first.create(&request("service", CLIENT, "kubernetes.default.svc", Vec::new())).await.unwrap();
    let approving = [(); 2].map(|()| tokio::spawn(run_kubelet_requests(approver(&cluster))));
    let taken = outcome(objects.as_ref(), "taken").await.unwrap_err();
    assert!(taken.contains("kubectl delete node n1"), "{taken}");
    assert!(outcome(objects.as_ref(), "service").await.unwrap_err().contains("belongs to Services"));
    assert_eq!(outcome(objects.as_ref(), "first").await, Ok(()));
    let second = outcome(objects.as_ref(), "second").await.unwrap_err();
    assert!(second.contains("request first was already issued a certificate for node n4"), "{second}");
    approving.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_control_planes_gives_the_keys_once_however_many_ask_at_the_same_time() {
    let cluster = ControlPlane::start().await;
    let objects = admin(&cluster).await;
    apply_all(&cluster, objects.as_ref()).await;
    let token: Token = "abcdef.0123456789abcdef".parse().unwrap();
    tokens::create(objects.as_ref(), &token, None, None, true).await.unwrap();
    let pki = tempfile::tempdir().unwrap();
    std::fs::create_dir(pki.path().join("etcd")).unwrap();
    for name in SHARED_FILES {
        let text = if name.ends_with(".crt") { cluster.ca() } else { "secret".to_owned() };
        std::fs::write(pki.path().join(name), text).unwrap();
    }
    let agents = [(); 2].map(|()| {
        let kubeconfig = cluster.kubeconfig("roost:kubelet-serving-approver", &[]);
        let requests = Box::new(CsrHandoverRequests::new(kubeconfig));
        tokio::spawn(run_key_handover(requests, Arc::new(HostFiles), pki.path().to_owned()))
    });
    let kubeconfig = pki.path().join("token.conf");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": {
            "server": format!("https://{}", cluster.endpoint), "certificate-authority": cluster.path("ca.crt") } }],
        "users": [{ "name": "c", "user": { "token": token.reveal() } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let join = |node| CsrHandover.receive(&kubeconfig, node, &Wanted::Shared);
    let (a, b, c) = tokio::join!(join("n2"), join("n3"), join("n4"));
    let (got, denied): (Vec<_>, Vec<_>) = [a, b, c].into_iter().partition(Result::is_ok);
    assert_eq!((got.len(), denied.len()), (1, 2), "{denied:?}");
    for denied in denied {
        let words = denied.unwrap_err().to_string();
        assert!(words.contains("each one needs its own"), "{words}");
    }
    agents.iter().for_each(tokio::task::JoinHandle::abort);
}
