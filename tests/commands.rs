//! What the commands decide, on nodes in memory: how a join finds its cluster and withdraws, what a node remembers, and
//! the order of an upgrade.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use roost::adapters::etcd::HostEtcdFiles;
use roost::adapters::x509::X509;
use roost::bootstrap::commands::join::{ClusterRequest, JoinOptions, Search, find_cluster, join, keep};
use roost::bootstrap::commands::upgrade::{UpgradeOptions, upgrade_first, upgrade_to_cluster};
use roost::bootstrap::commands::{self, Error};
use roost::bootstrap::kept::{JOINED_FILE, KEPT_FILE, VERSION_FILE, keep_version};
use roost::bootstrap::{Ports, RunOptions, run};
use roost::core::bootstrap::Joining;
use roost::core::bootstrap::discovery::CaPin;
use roost::core::bootstrap::jws;
use roost::core::bootstrap::key_handover::TOKEN_GROUP;
use roost::core::bootstrap::objects::render_cluster_info;
use roost::core::bootstrap::token::Token;
use roost::core::bootstrap::workflow::{INIT, JOIN_CONTROL_PLANE};
use roost::core::model::pki::{Authority, KeyPairFiles};
use roost::core::model::spec::Spec;
use roost::fakes::Record;
use roost::fakes::members::{FakeEtcd, FakeEtcdClients, member};
use roost::fakes::node::{FakeNode, FakeReachability};
use roost::ports::bootstrap::{ClusterDiscovery, ClusterObjects, ContactError, NodeFiles, Reachability};
use roost::ports::node::Pki;
use serde_json::json;
use shared::{ports, ports_of, spec_of};

/// An API server whose `cluster-info` is signed for the token; its objects are those of a node in memory.
struct Discovered {
    api: Arc<dyn ClusterObjects>,
    ca: String,
}

#[async_trait]
impl ClusterDiscovery for Discovered {
    async fn read_cluster_info(&self, _: &str, _: Option<&str>) -> Result<BTreeMap<String, String>, ContactError> {
        let map = &render_cluster_info("10.0.0.1:6443", &self.ca)[0];
        let kubeconfig = map["data"]["kubeconfig"].as_str().unwrap().to_owned();
        let signature = jws::sign(&kubeconfig, token().id(), token().secret());
        Ok(BTreeMap::from([("kubeconfig".to_owned(), kubeconfig), ("jws-kubeconfig-abcdef".to_owned(), signature)]))
    }
    fn connect(&self, _: &str, _: &str, _: Option<&str>) -> Result<Arc<dyn ClusterObjects>, ContactError> {
        Ok(self.api.clone())
    }
}

fn token() -> Token {
    "abcdef.0123456789abcdef".parse().unwrap()
}

/// A machine and the cluster that it looks for.
struct Machine {
    node: Arc<FakeNode>,
    cluster: Discovered,
}

impl Machine {
    async fn new() -> Self {
        let node = FakeNode::new();
        let api = FakeReachability(node.clone()).connect("any".as_ref()).await.unwrap();
        let map = |name: &str, key: &str, text: &str| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": "kube-system", "name": name },
                "data": { key: text },
            })
        };
        let settings = "kubernetesVersion: v1.35.4\nnetworking: {dnsDomain: other.local}\n";
        api.apply(&map("kubeadm-config", "ClusterConfiguration", settings)).await.unwrap();
        api.apply(&map("kubelet-config", "kubelet", "{}")).await.unwrap();
        let files = KeyPairFiles::named(Path::new("/pki"), "ca");
        let ca = Authority { files, common_name: "kubernetes".into(), life: Duration::from_secs(3600) };
        let ca = X509.make_authority(&ca, Timestamp::now()).unwrap().public;
        Self { node, cluster: Discovered { api, ca } }
    }

    async fn find(&self, token: Option<Token>, pins: Vec<CaPin>) -> (Result<Joining, Error>, Spec) {
        self.find_as(false, token, pins).await
    }

    async fn find_as(
        &self,
        control_plane: bool,
        token: Option<Token>,
        pins: Vec<CaPin>,
    ) -> (Result<Joining, Error>, Spec) {
        let mut spec = spec_of("n2", "10.0.0.2", &[]);
        let net = FakeReachability(self.node.clone());
        let search = Search { discovery: &self.cluster, net: &net, files: self.node.as_ref(), pki: &X509 };
        let server = "10.0.0.1:6443".parse().unwrap();
        let request = ClusterRequest { server, token, pins, control_plane };
        (find_cluster(&search, &request, &mut spec).await, spec)
    }
}

#[tokio::test]
async fn a_join_finds_its_cluster_by_token_and_pins_and_takes_over_its_settings() {
    let machine = Machine::new().await;
    let pins = CaPin::of_pem(machine.cluster.ca.as_bytes()).unwrap();
    let (joining, spec) = machine.find(Some(token()), pins.clone()).await;
    let joining = joining.unwrap();
    assert_eq!(
        (joining.ca, joining.token.map(|token| token.reveal().clone())),
        (machine.cluster.ca.clone(), Some(token().reveal()))
    );
    assert_eq!((spec.cluster.dns_domain.as_str(), spec.cluster.version.as_str()), ("other.local", "v1.35.4"));
    assert_eq!(spec.cluster.endpoint.to_string(), "10.0.0.1:6443");

    // Nothing is believed without pins, and a name that is taken is not taken over.
    let refused = machine.find(Some(token()), Vec::new()).await.0.unwrap_err();
    assert!(matches!(refused, Error::NoPins) && refused.is_usage(), "{refused}");
    machine
        .cluster
        .api
        .apply(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n2" } }))
        .await
        .unwrap();
    let refused = machine.find(Some(token()), pins).await.0.unwrap_err();
    assert!(refused.to_string().starts_with("node n2 already exists"), "{refused}");
}

#[tokio::test]
async fn a_control_plane_does_not_wait_for_keys_that_its_token_does_not_give() {
    let machine = Machine::new().await;
    let pins = CaPin::of_pem(machine.cluster.ca.as_bytes()).unwrap();
    machine.node.set_groups(&["system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token"]);
    assert!(machine.find(Some(token()), pins.clone()).await.0.is_ok(), "a worker needs no keys");
    let refused = machine.find_as(true, Some(token()), pins.clone()).await.0.unwrap_err().to_string();
    assert!(refused.contains("token abcdef gives no keys") && refused.contains("--control-plane"), "{refused}");
    machine.node.set_groups(&["system:bootstrappers", TOKEN_GROUP]);
    assert!(machine.find_as(true, Some(token()), pins.clone()).await.0.is_ok());
    // A run that was interrupted after it had the keys continues with the token that is used up.
    machine.node.set_groups(&["system:bootstrappers"]);
    machine.node.write("/etc/kubernetes/pki/sa.key".as_ref(), b"(key)", 0o600).unwrap();
    assert!(machine.find_as(true, Some(token()), pins).await.0.is_ok());
}

#[tokio::test]
async fn a_node_that_joined_before_needs_no_token_and_a_new_machine_does() {
    let machine = Machine::new().await;
    let refused = machine.find(None, Vec::new()).await.0.unwrap_err();
    assert!(matches!(refused, Error::NoToken) && refused.is_usage(), "{refused}");
    machine.node.write("/etc/kubernetes/kubelet.conf".as_ref(), b"{}", 0o600).unwrap();
    let (joining, spec) = machine.find(None, Vec::new()).await;
    assert!(joining.unwrap().token.is_none());
    assert_eq!(spec.cluster.dns_domain, "other.local");
    machine.node.write("/etc/kubernetes/pki/apiserver.crt".as_ref(), b"", 0o644).unwrap();
    let refused = machine.find(None, Vec::new()).await.0.unwrap_err();
    assert!(matches!(refused, Error::IsControlPlane) && refused.is_usage(), "{refused}");
}

/// A machine with what a control plane has when its etcd was just added.
fn learner() -> (Arc<FakeNode>, Arc<FakeEtcd>, Ports) {
    let node = FakeNode::new();
    let etcd = FakeEtcd::with(&[member(1, "n1", "10.0.0.1", false), member(2, "n2", "10.0.0.2", true)]);
    for name in ["ca.crt", "healthcheck-client.crt", "healthcheck-client.key"] {
        node.write(&Path::new("/etc/kubernetes/pki/etcd").join(name), b"(pem)", 0o600).unwrap();
    }
    node.write("/etc/kubernetes/manifests/etcd.yaml".as_ref(), b"- --name=n2\n", 0o600).unwrap();
    let ports = Ports { etcd: Arc::new(FakeEtcdClients(etcd.clone())), ..ports_of(&node) };
    (node, etcd, ports)
}

async fn join_as(control_plane: bool, dry_run: bool, stop: impl Future<Output = ()>) -> (usize, bool, Error, String) {
    let (node, etcd, ports) = learner();
    let joining = Joining { token: None, ca: String::new(), denied: Default::default() };
    // A phase that does not exist fails at once.
    let options = JoinOptions { control_plane, dry_run, only: Some("none".to_owned()) };
    let record = Record::default();
    let spec = spec_of("n2", "10.0.0.2", &[]);
    let error = join(&ports, &spec, &joining, &options, stop, &record).await.unwrap_err();
    let manifest = node.file("/etc/kubernetes/manifests/etcd.yaml").is_some();
    (etcd.members().len(), manifest, error, record.text())
}

#[tokio::test(start_paused = true)]
async fn a_join_that_fails_removes_its_learner_again() {
    let (members, manifest, error, told) = join_as(true, false, std::future::pending()).await;
    assert_eq!((members, manifest), (1, false), "{told}");
    assert!(error.is_usage() && told.contains("still a learner and was removed"), "{error}: {told}");
    for (control_plane, dry_run) in [(true, true), (false, false)] {
        let (members, manifest, _, told) = join_as(control_plane, dry_run, std::future::pending()).await;
        assert_eq!((members, manifest, told.as_str()), (2, true, ""), "a dry run, or a worker, removes nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn a_join_that_is_interrupted_removes_its_learner_too() {
    let (_, etcd, ports) = learner();
    // The promotion never succeeds.
    etcd.promotions.lock().unwrap().extend((0..100_000).map(|_| roost::ports::bootstrap::MembersError::NotCaughtUp));
    let phase = JOIN_CONTROL_PLANE.iter().find(|phase| phase.id == "etcd-promote").unwrap();
    let options = JoinOptions { control_plane: true, dry_run: false, only: Some(phase.id.to_owned()) };
    let joining = Joining { token: None, ca: String::new(), denied: Default::default() };
    let stop = tokio::time::sleep(Duration::from_secs(5));
    let outcome = join(&ports, &spec_of("n2", "10.0.0.2", &[]), &joining, &options, stop, &Record::default()).await;
    assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
    assert_eq!(etcd.members().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_remembers_its_settings_until_it_is_reset() {
    let node = FakeNode::new();
    keep_version(node.as_ref(), "v1.35.4").unwrap();
    keep(node.as_ref(), "settings", "cluster").unwrap();
    assert_eq!(node.file(KEPT_FILE).as_deref(), Some("settings"));
    assert_eq!(node.file(VERSION_FILE), None, "the version of an earlier cluster is forgotten");
    let age = |node: &FakeNode| node.info(JOINED_FILE.as_ref()).unwrap().unwrap().modified;
    let before = age(&node);
    keep(node.as_ref(), "settings", "cluster").unwrap();
    assert_eq!(age(&node), before, "the agent would be started again");
    keep(node.as_ref(), "settings", "other").unwrap();
    assert_eq!(node.file(JOINED_FILE).as_deref(), Some("other"));

    let spec = spec_of("n1", "10.0.0.1", &[]);
    let dry_run = RunOptions { dry_run: true, ..RunOptions::default() };
    let one_phase = RunOptions { only: Some("pods".to_owned()), ..RunOptions::default() };
    for options in [dry_run, one_phase] {
        let _ = commands::reset::reset(&ports_of(&node), &spec, &options, &Record::default()).await;
        assert!(node.file(KEPT_FILE).is_some(), "{options:?}");
    }
    commands::reset::reset(&ports_of(&node), &spec, &RunOptions::default(), &Record::default()).await.unwrap();
    assert_eq!([KEPT_FILE, JOINED_FILE].map(|file| node.file(file)), [None, None]);
}

/// An upgrade of a control plane that `init` made: the first one, or one that follows its cluster. With `other` there is
/// another control plane whose API server has this version.
async fn upgrade(first: bool, other: Option<&str>, record_fails: bool) -> (Result<usize, Error>, String) {
    let node = FakeNode::new();
    let etcd = FakeEtcd::with(&[member(1, "n1", "10.0.0.1", false)]);
    let ports = ports(&node, None, &etcd);
    let mut spec = spec_of("n1", "10.0.0.1", &[]);
    run(INIT, &spec, &ports, &RunOptions::default(), &|facts| facts, &Record::default()).await.unwrap();
    if let Some(version) = other {
        let api = FakeReachability(node.clone()).connect("any".as_ref()).await.unwrap();
        let label = json!({ "node-role.kubernetes.io/control-plane": "" });
        api.apply(&json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n2", "labels": label },
            "status": {
                "nodeInfo": { "kubeletVersion": version }, "conditions": [{ "type": "Ready", "status": "True" }],
            },
        }))
        .await
        .unwrap();
        api.apply(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "namespace": "kube-system", "name": "kube-apiserver-n2",
                "labels": { "component": "kube-apiserver", "tier": "control-plane" },
            },
            "spec": {
                "nodeName": "n2",
                "containers": [{ "name": "kube-apiserver", "image": format!("registry.k8s.io/kube-apiserver:{version}") }],
            },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        }))
        .await
        .unwrap();
    }
    let progress = Arc::new(Record::default());
    let recorded: Mutex<String> = Mutex::default();
    let (told, text) = (progress.clone(), &recorded);
    let record = move |version: &str| {
        if record_fails {
            return Err("the disk is full".into());
        }
        *text.lock().unwrap() =
            format!("{version} after {}", told.text().lines().filter(|line| line.ends_with(':')).count());
        Ok(())
    };
    let options = UpgradeOptions {
        etcd_files: &HostEtcdFiles,
        timeout: Duration::from_secs(300),
        dry_run: false,
        ignore_health: true,
        record: &record,
    };
    let stop = std::future::pending();
    let outcome = match first {
        true => upgrade_first(&ports, &spec, &options, stop, progress.as_ref()).await,
        false => upgrade_to_cluster(&ports, &mut spec, &options, stop, progress.as_ref()).await,
    };
    let phases = progress.text();
    let phases: Vec<&str> = phases.lines().filter(|line| line.ends_with(':') || line.contains("remaining")).collect();
    let recorded = recorded.lock().unwrap().clone();
    let kubelet = node.file("/var/lib/kubelet/config.yaml").unwrap_or_default();
    let claimed = kubelet.lines().find_map(|line| line.strip_prefix("kubernetesVersion: ")).unwrap_or("none");
    (outcome, format!("{}\nrecorded {recorded}\nkubelet {claimed}", phases.join(" ")))
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_goes_from_images_to_components_to_settings_to_the_kubelet_to_add_ons() {
    let (outcome, order) = upgrade(true, None, false).await;
    outcome.unwrap();
    insta::assert_snapshot!(order, @r"
    images: audit: control-plane: objects: agent: kubelet-start: renewal: snapshots: wait-node: addons:
    recorded v1.36.3 after 3
    kubelet v1.36.3
    ");
    let (outcome, order) = upgrade(false, None, false).await;
    outcome.unwrap();
    assert!(!order.contains("objects:"), "only the first control plane makes its version the cluster's: {order}");
}

#[tokio::test(start_paused = true)]
async fn add_ons_wait_for_the_last_api_server_and_a_version_that_is_not_recorded_ends_the_run() {
    let (outcome, order) = upgrade(true, Some("v1.35.4"), false).await;
    outcome.unwrap();
    assert!(order.contains("remaining: n2") && !order.contains("addons:"), "{order}");
    assert!(order.ends_with("kubelet v1.35.4"), "it may not be newer than the other API server: {order}");
    let (outcome, order) = upgrade(true, Some("v1.36.3"), false).await;
    outcome.unwrap();
    assert!(order.contains("addons:"), "{order}");
    let (outcome, order) = upgrade(true, None, true).await;
    assert_eq!(outcome.unwrap_err().to_string(), "the disk is full");
    assert!(!order.contains("kubelet-start:"), "{order}");
}
