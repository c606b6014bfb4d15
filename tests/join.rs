//! `bootstrap join --control-plane` on an in-memory node: its plan, that it converges, and its use of etcd.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::sync::Arc;

use base64::Engine;
use roost::bootstrap::commands::join::withdraw;
use roost::bootstrap::join::claim_name;
use roost::bootstrap::{Ports, RunError, RunOptions, run};
use roost::core::bootstrap::key_handover::SharedFiles;
use roost::core::bootstrap::workflow::{INIT, JOIN_CONTROL_PLANE, RENEW, RESET};
use roost::core::bootstrap::{Facts, Joining};
use roost::core::model::Secret;
use roost::core::model::spec::Component;
use roost::core::model::spec::{ComponentSource, ControlPlaneMode, Spec};
use roost::fakes::Record;
use roost::fakes::members::{FakeEtcd, FakeEtcdClients, FakeHandover, member};
use roost::fakes::node::{FakeNode, FakeReachability};
use roost::ports::bootstrap::{MembersError, NodeFiles, Owner, Reachability};
use serde_json::json;
use shared::{ports_of, spec_of};

const SHARED: [&str; 10] = [
    "ca.crt",
    "ca.key",
    "etcd/ca.crt",
    "etcd/ca.key",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "kubelet-serving-ca.crt",
    "kubelet-serving-ca.key",
    "sa.key",
    "sa.pub",
];

fn spec(name: &str, address: &str) -> Spec {
    spec_of(name, address, &[("cluster.endpoint", "10.0.0.1"), ("cluster.balancer", "on")])
}

fn ports(node: &Arc<FakeNode>, etcd: &Arc<FakeEtcd>, shared: &SharedFiles) -> Ports {
    Ports {
        etcd: Arc::new(FakeEtcdClients(etcd.clone())),
        handover: Arc::new(FakeHandover(shared.clone())),
        ..ports_of(node)
    }
}

/// The keys of a cluster, as its first control plane created them.
async fn shared_files() -> SharedFiles {
    let first = FakeNode::new();
    let ports = ports(&first, &Arc::default(), &SharedFiles::new());
    let only = RunOptions { only: Some("certs".to_owned()), ..RunOptions::default() };
    run(INIT, &spec("n1", "10.0.0.1"), &ports, &only, &|facts| facts, &Record::default()).await.unwrap();
    let text = |name: &str| first.file(&format!("/etc/kubernetes/pki/{name}")).unwrap();
    SHARED.iter().map(|name| ((*name).to_owned(), Secret::new(text(name)))).collect()
}

/// The same node with its components as services.
fn as_services(mut spec: Spec) -> Spec {
    let programs =
        Component::REQUIRED.map(|component| (component.to_string(), format!("/usr/local/bin/{component}").into()));
    spec.cluster.mode = ControlPlaneMode::Systemd;
    spec.cluster.source = ComponentSource::Host { programs: programs.into() };
    spec
}

struct World {
    /// Components are services.
    services: bool,
    node: Arc<FakeNode>,
    etcd: Arc<FakeEtcd>,
    shared: SharedFiles,
}

impl World {
    async fn new(etcd: Arc<FakeEtcd>) -> Self {
        let node = FakeNode::new();
        // Addresses of the API servers.
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "namespace": "default", "name": "kubernetes" },
            "endpoints": [{ "addresses": ["10.0.0.1"] }],
        });
        let api = FakeReachability(node.clone()).connect("any".as_ref()).await.unwrap();
        api.apply(&slice).await.unwrap();
        // The node registers itself, and the kubelet has its certificate: neither is tested here.
        let registered = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n2" },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        api.apply(&registered).await.unwrap();
        node.write("/etc/kubernetes/kubelet.conf".as_ref(), b"{}", 0o600).unwrap();
        Self { services: false, node, etcd, shared: shared_files().await }
    }

    fn spec(&self) -> Spec {
        let spec = spec("n2", "10.0.0.2");
        if self.services { as_services(spec) } else { spec }
    }

    fn ports(&self) -> Ports {
        ports(&self.node, &self.etcd, &self.shared)
    }

    async fn join(&self, dry_run: bool) -> (Result<usize, RunError>, String) {
        let ca = self.shared.get("ca.crt").map_or_else(String::new, |ca| ca.reveal().clone());
        let token = Some(Secret::new("abcdef.0123456789abcdef".to_owned()));
        let with_joining = |mut facts: Facts| {
            facts.joining = Some(Joining { token: token.clone(), ca: ca.clone(), denied: Default::default() });
            facts
        };
        let options = RunOptions { dry_run, joins_etcd: true, ..RunOptions::default() };
        let record = Record::default();
        let outcome = run(JOIN_CONTROL_PLANE, &self.spec(), &self.ports(), &options, &with_joining, &record).await;
        (outcome, record.text())
    }
}

fn one() -> Arc<FakeEtcd> {
    FakeEtcd::with(&[member(1, "n1", "10.0.0.1", false)])
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let world = World::new(one()).await;
    let (outcome, plan) = world.join(true).await;
    outcome.unwrap();
    insta::assert_snapshot!(plan);
    assert_eq!(world.etcd.members().len(), 1);
    assert_eq!(world.node.file("/etc/kubernetes/pki/sa.key"), None);
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_joins_as_a_voter_with_the_clusters_keys_and_a_second_run_finds_nothing_to_do() {
    let world = World::new(one()).await;
    let (outcome, lines) = world.join(false).await;
    outcome.unwrap();
    assert!(world.etcd.members().iter().all(|member| !member.learner), "{lines}");
    assert_eq!(world.etcd.members().len(), 2);
    let endpoints = ["https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://127.0.0.1:2379"];
    assert_eq!(*world.etcd.endpoints.lock().unwrap(), endpoints);
    let pki = |name: &str| world.node.file(&format!("/etc/kubernetes/pki/{name}")).unwrap();
    assert!(SHARED.iter().all(|name| pki(name) == *world.shared[*name].reveal()));
    let manifest = world.node.file("/etc/kubernetes/manifests/etcd.yaml").unwrap();
    assert!(manifest.contains("--initial-cluster=n1=https://10.0.0.1:2380,n2=https://10.0.0.2:2380"), "{manifest}");
    assert!(manifest.contains("--initial-cluster-state=existing"), "{manifest}");

    // Its etcd started and wrote data; meanwhile another node joined.
    world.node.write("/var/lib/etcd/member".as_ref(), b"", 0o700).unwrap();
    let (outcome, rest) = world.join(false).await;
    assert_eq!(outcome.unwrap(), 0, "{rest}");
    assert_eq!(world.node.file("/etc/kubernetes/manifests/etcd.yaml").unwrap(), manifest);
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_of_services_joins_in_the_same_way_and_withdraws() {
    let mut world = World::new(one()).await;
    world.services = true;
    world.join(false).await.0.unwrap();
    assert!(world.etcd.members().iter().all(|member| !member.learner));
    let file = "/etc/systemd/system/roost-etcd.service";
    let unit = world.node.file(file).unwrap();
    assert!(unit.contains("--initial-cluster=n1=https://10.0.0.1:2380,n2=https://10.0.0.2:2380"), "{unit}");
    world.node.write("/var/lib/etcd/member".as_ref(), b"", 0o700).unwrap();
    world.node.give_to("/var/lib/etcd".as_ref(), Owner { user: 998, group: 997 }).unwrap();
    let (outcome, rest) = world.join(false).await;
    assert_eq!(outcome.unwrap(), 0, "{rest}");

    let stuck = World { services: true, ..World::new(one()).await };
    stuck.etcd.promotions.lock().unwrap().extend((0..10_000).map(|_| MembersError::NotCaughtUp));
    stuck.join(false).await.0.unwrap_err();
    assert!(withdraw(&stuck.ports(), &stuck.spec()).await.unwrap());
    assert_eq!(stuck.node.file(file), None);
    assert!(!stuck.node.active_units().contains(&"roost-etcd.service".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn renewal_on_a_joined_control_plane_makes_nothing_that_the_join_did_not() {
    let world = World::new(one()).await;
    world.join(false).await.0.unwrap();
    let rotated = "{clusters: [{name: k, cluster: {server: 'https://127.0.0.1:6444'}}], current-context: c, contexts: \
                   [{name: c, context: {cluster: k, user: u}}], users: [{name: u, user: {client-certificate: /c.pem}}]}";
    world.node.write("/etc/kubernetes/kubelet.conf".as_ref(), rotated.as_bytes(), 0o600).unwrap();
    let options = RunOptions { reissue: true, ..RunOptions::default() };
    let record = Record::default();
    run(RENEW, &spec("n2", "10.0.0.2"), &world.ports(), &options, &|facts| facts, &record).await.unwrap();
    assert!(record.text().contains("issue /etc/kubernetes/pki/apiserver.crt"), "{}", record.text());
    assert_eq!(world.node.file("/etc/kubernetes/super-admin.conf"), None);
    assert_eq!(world.node.file("/etc/kubernetes/kubelet.conf").unwrap(), rotated);
}

#[tokio::test(start_paused = true)]
async fn a_join_waits_for_another_learner_and_until_its_own_log_has_caught_up() {
    let world =
        World::new(FakeEtcd::with(&[member(1, "n1", "10.0.0.1", false), member(2, "n3", "10.0.0.3", true)])).await;
    let etcd = world.etcd.clone();
    etcd.promotions.lock().unwrap().extend([MembersError::NotCaughtUp, MembersError::NotCaughtUp]);
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        *etcd.soon_promoted.lock().unwrap() = Some(2);
    });
    let (outcome, lines) = world.join(false).await;
    outcome.unwrap();
    assert!(lines.contains("waiting for n3"), "{lines}");
    assert!(lines.contains("etcd replicates its log: entry 7 of 7"), "{lines}");
    assert!(world.etcd.members().iter().all(|member| !member.learner));
}

#[tokio::test(start_paused = true)]
async fn a_learner_that_stands_still_is_given_up_and_leaves_no_trace_in_etcd() {
    let world = World::new(one()).await;
    world.etcd.promotions.lock().unwrap().extend((0..10_000).map(|_| MembersError::NotCaughtUp));
    let (outcome, lines) = world.join(false).await;
    assert!(matches!(outcome, Err(RunError::Step { phase: "etcd-promote", .. })), "{lines}");
    world.node.write("/var/lib/etcd/member".as_ref(), b"", 0o700).unwrap();
    assert!(withdraw(&world.ports(), &spec("n2", "10.0.0.2")).await.unwrap());
    assert_eq!(world.etcd.members(), [member(1, "n1", "10.0.0.1", false)]);
    assert_eq!(world.node.file("/etc/kubernetes/manifests/etcd.yaml"), None);
    assert_eq!(world.node.list("/var/lib/etcd".as_ref()).unwrap(), Vec::<std::path::PathBuf>::new());

    world.etcd.promotions.lock().unwrap().clear();
    world.join(false).await.0.unwrap();
    assert!(!withdraw(&world.ports(), &spec("n2", "10.0.0.2")).await.unwrap(), "a voter is never taken out");
    assert_eq!(world.etcd.members().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn data_of_another_etcd_is_not_overwritten() {
    let world = World::new(one()).await;
    world.node.write("/var/lib/etcd/member".as_ref(), b"", 0o700).unwrap();
    let (outcome, _) = world.join(false).await;
    assert!(matches!(outcome, Err(RunError::Plan { phase: "etcd-member", .. })), "{outcome:?}");
    assert_eq!(world.etcd.members().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_join_cut_short_anywhere_is_continued_by_running_again() {
    for cut in 0.. {
        let world = World::new(one()).await;
        world.node.fail_after(cut);
        let first = world.join(false).await.0;
        if world.node.failure_is_ahead() {
            assert!(cut > 40, "the failure was injected into every change");
            break;
        }
        assert!(first.is_err(), "the failure of change {cut} was passed over");
        let (outcome, lines) = world.join(false).await;
        outcome.unwrap_or_else(|error| panic!("cut at change {cut}: {error:?}\n{lines}"));
        assert_eq!(world.etcd.members().len(), 2, "cut at change {cut}");
        let pki = |name: &str| world.node.file(&format!("/etc/kubernetes/pki/{name}")).unwrap();
        assert!(SHARED.iter().all(|name| pki(name) == *world.shared[*name].reveal()), "cut at change {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_takes_the_member_out_but_never_the_last_one() {
    let world = World::new(one()).await;
    world.join(false).await.0.unwrap();
    let only = RunOptions { only: Some("etcd-member".to_owned()), ..RunOptions::default() };
    let reset =
        async || run(RESET, &spec("n2", "10.0.0.2"), &world.ports(), &only, &|facts| facts, &Record::default()).await;
    assert_eq!(reset().await.unwrap(), 1);
    assert_eq!(world.etcd.members(), [member(1, "n1", "10.0.0.1", false)]);

    let last = World::new(FakeEtcd::with(&[member(2, "n2", "10.0.0.2", false)])).await;
    last.join(false).await.0.unwrap();
    let options = only.clone();
    let changed =
        run(RESET, &spec("n2", "10.0.0.2"), &last.ports(), &options, &|facts| facts, &Record::default()).await.unwrap();
    assert_eq!((changed, last.etcd.members().len()), (0, 1));
}

/// An API server whose etcd is gone blocks during its shutdown until it is killed.
#[tokio::test(start_paused = true)]
async fn a_reset_ends_the_api_server_before_its_member_of_etcd_goes() {
    let world = World { services: true, ..World::new(one()).await };
    world.join(false).await.0.unwrap();
    let record = Record::default();
    run(RESET, &world.spec(), &world.ports(), &RunOptions::default(), &|facts| facts, &record).await.unwrap();
    let text = record.text();
    let at = |line: &str| text.find(line).unwrap_or_else(|| panic!("no {line:?} in\n{text}"));
    assert!(at("stop and disable roost-kube-apiserver.service") < at("remove etcd member n2"), "{text}");
}

/// A request for the client certificate of n2 that was denied.
async fn denied(world: &World, uid: &str, message: &str) {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "system:node:n2");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:nodes");
    let pem = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    let request = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "name": uid, "uid": uid },
        "spec": {
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "request": base64::engine::general_purpose::STANDARD.encode(pem),
        },
        "status": { "conditions": [{ "type": "Denied", "status": "True", "message": message }] },
    });
    let api = FakeReachability(world.node.clone()).connect("any".as_ref()).await.unwrap();
    api.apply(&request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_join_that_is_denied_ends_with_the_reason_and_not_with_one_of_an_earlier_attempt() {
    let world = World::new(one()).await;
    world.node.remove("/etc/kubernetes/kubelet.conf".as_ref()).unwrap();
    let api = FakeReachability(world.node.clone()).connect("any".as_ref()).await.unwrap();
    let taken = claim_name(api.as_ref(), "n2").await.unwrap_err().to_string();
    assert!(taken.contains("kubectl delete node n2"), "{taken}");
    denied(&world, "before", "an earlier one").await;
    let before = claim_name(api.as_ref(), "n9").await.unwrap();
    assert!(before.is_empty(), "of another node");
    denied(&world, "now", "node n2 already exists").await;
    let with_joining = |mut facts: Facts| {
        facts.joining = Some(Joining { token: None, ca: String::new(), denied: ["before".to_owned()].into() });
        facts
    };
    let only = RunOptions { only: Some("kubelet-wait-bootstrap".to_owned()), ..RunOptions::default() };
    let record = Record::default();
    let outcome = run(JOIN_CONTROL_PLANE, &world.spec(), &world.ports(), &only, &with_joining, &record).await;
    let Err(RunError::Step { source, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(source.to_string(), "the cluster denied node n2 a certificate: node n2 already exists");
}

#[tokio::test]
async fn an_answer_that_lacks_a_file_is_refused() {
    let mut world = World::new(one()).await;
    world.shared.remove("sa.key");
    let (outcome, _) = world.join(false).await;
    assert!(matches!(outcome, Err(RunError::Step { phase: "keys", .. })), "{outcome:?}");
    assert_eq!(world.node.file("/etc/kubernetes/pki/ca.key"), None);
}
