//! CA rotation of an in-memory control plane: stage by stage, interrupted at any point, and without changes afterwards.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use roost::adapters::etcd::HostEtcdFiles;
use roost::adapters::x509::X509;
use roost::bootstrap::rotation::{Outcome, RotationError, rotate};
use roost::bootstrap::upgrade::{ControlPlaneChange, Purpose};
use roost::bootstrap::verify::{Difference, observe_differences};
use roost::bootstrap::{Ports, RunOptions, run};
use roost::core::bootstrap::key_handover::SharedFiles;
use roost::core::bootstrap::rotation::{KUBELET_ANNOTATION, ROTATION_ANNOTATION, Stage, ids};
use roost::core::bootstrap::workflow::INIT;
use roost::core::model::Secret;
use roost::core::model::spec::Spec;
use roost::fakes::Record;
use roost::fakes::members::{FakeEtcd, FakeHandover, member};
use roost::fakes::node::FakeNode;
use roost::ports::bootstrap::{NodeFiles, ObjectRef};
use roost::ports::node::Pki;
use serde_json::{Value, json};
use shared::{path, ports, spec_of};

const PKI: &str = "/etc/kubernetes/pki";
const AUTHORITIES: [&str; 4] = ["ca", "etcd/ca", "front-proxy-ca", "kubelet-serving-ca"];

struct World {
    node: Arc<FakeNode>,
    etcd: Arc<FakeEtcd>,
    handed: SharedFiles,
    /// A component that exits repeatedly while its manifest contains that text.
    broken: Option<(&'static str, &'static str)>,
}

impl World {
    async fn new() -> Self {
        let etcd = FakeEtcd::with(&[member(1, "n1", "10.0.0.1", false)]);
        let world = Self { node: FakeNode::new(), etcd, handed: SharedFiles::default(), broken: None };
        let options = RunOptions::default();
        run(INIT, &world.spec(), &world.ports(), &options, &|facts| facts, &Record::default()).await.unwrap();
        world
    }

    fn spec(&self) -> Spec {
        spec_of("n1", "10.0.0.1", &[])
    }

    fn ports(&self) -> Ports {
        let ports = ports(&self.node, self.broken, &self.etcd);
        Ports { handover: Arc::new(FakeHandover(self.handed.clone())), ..ports }
    }

    fn file(&self, name: &str) -> String {
        self.node.file(&format!("{PKI}/{name}")).unwrap_or_default()
    }

    fn all(&self, name: &str) -> Vec<String> {
        AUTHORITIES.iter().map(|authority| self.file(&format!("{authority}{name}"))).collect()
    }

    async fn patch(&self, object: &ObjectRef, patch: &Value) {
        let objects = self.ports().net.connect(Path::new("admin.conf")).await.unwrap();
        objects.merge_patch(object, patch).await.unwrap();
    }

    async fn object(&self, object: &ObjectRef) -> Value {
        let objects = self.ports().net.connect(Path::new("admin.conf")).await.unwrap();
        objects.get(object).await.unwrap().unwrap_or_default()
    }

    async fn annotate(&self, node: &str, annotation: &str, value: &str) {
        let patch = json!({ "metadata": { "name": node, "annotations": { annotation: value } } });
        self.patch(&ObjectRef::new("v1", "Node", None, node), &patch).await;
    }

    /// What the controller manager, the agent and the kubelet do meanwhile.
    async fn follow(&self) {
        let bundle = self.file("ca.crt");
        let roots = ObjectRef::new("v1", "ConfigMap", Some("kube-system"), "kube-root-ca.crt");
        self.patch(&roots, &json!({ "data": { "ca.crt": bundle } })).await;
        let trust = json!({ "trusts": ids(&bundle), "client": ids(&bundle)[0], "serving": null });
        self.annotate("n1", KUBELET_ANNOTATION, &trust.to_string()).await;
    }

    async fn go(&self, stage: Stage, dry_run: bool) -> (Result<Outcome, RotationError>, String) {
        let record = Record::default();
        let timeout = Duration::from_secs(300);
        let change =
            ControlPlaneChange { etcd_files: &HostEtcdFiles, timeout, dry_run, purpose: Purpose::Settings, turn: None };
        let outcome = rotate(&self.ports(), &self.spec(), &change, stage, &record).await;
        (outcome, record.text())
    }

    /// Runs a stage and what follows from it, until it is complete.
    async fn done(&self, stage: Stage) -> usize {
        let (first, told) = self.go(stage, false).await;
        let changed = first.unwrap_or_else(|error| panic!("{error}: {told}")).changed;
        self.follow().await;
        if stage == Stage::Prepared {
            self.go(stage, false).await.0.unwrap();
        }
        let (again, told) = self.go(stage, false).await;
        assert_eq!(again.unwrap().changed, 0, "{told}");
        changed
    }

    fn signer_of(&self, leaf: &str, authority: &str) -> bool {
        let (leaf, authority) = (self.file(&format!("{leaf}.crt")), self.file(&format!("{authority}.crt")));
        X509.inspect(&leaf, None, Some(&authority)).unwrap().signed.unwrap()
    }

    /// Everything except the certificate that the kubelet would have renewed itself.
    async fn differences(&self) -> Vec<Difference> {
        let mut all = observe_differences(&self.ports(), &self.spec(), true, false).await.unwrap();
        all.retain(|difference| !difference.subject.ends_with("kubelet.conf"));
        all
    }

    fn manifest(&self, component: &str) -> String {
        self.node.file(&path(component)).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn authorities_are_replaced_in_three_stages() {
    let world = World::new().await;
    world.follow().await;
    let (before, leaf) = (world.all(".crt"), world.file("apiserver.crt"));
    let manifest = world.manifest("kube-apiserver");
    let (planned, told) = world.go(Stage::Prepared, true).await;
    assert!(planned.unwrap().changed > 0 && told.contains("create CA /etc/kubernetes/pki/ca-next.crt"), "{told}");
    assert_eq!(world.all("-next.crt").concat(), "", "a dry run writes nothing");

    assert!(world.done(Stage::Prepared).await > 0);
    let next = world.all("-next.crt");
    for (index, bundle) in world.all(".crt").iter().enumerate() {
        assert_eq!(*bundle, format!("{}{}", before[index], next[index]), "the former signs");
    }
    assert_eq!(world.file("apiserver.crt"), leaf);
    let manager = world.manifest("kube-controller-manager");
    for signer in ["kubelet-client", "kube-apiserver-client", "legacy-unknown"] {
        let flag = format!("--cluster-signing-{signer}-cert-file=/etc/kubernetes/pki/ca-former.crt");
        assert!(manager.contains(&flag), "{manager}");
    }
    let serving = "--cluster-signing-kubelet-serving-cert-file=/etc/kubernetes/pki/kubelet-serving-ca-former.crt";
    assert!(manager.contains(serving), "{manager}");
    for component in ["etcd", "kube-apiserver", "kube-controller-manager"] {
        assert!(world.manifest(component).contains("roost.io/authorities: "), "{component} is started again");
    }
    let prepared = world.manifest("kube-apiserver");

    assert!(world.done(Stage::Switched).await > 0);
    for (index, bundle) in world.all(".crt").iter().enumerate() {
        assert_eq!(*bundle, format!("{}{}", next[index], before[index]), "the next signs");
    }
    assert_eq!(world.all("-next.key").concat(), "", "keys have one place");
    for (leaf, authority) in [("apiserver", "ca-next"), ("etcd/peer", "etcd/ca-next")] {
        assert!(world.signer_of(leaf, authority), "{leaf}");
    }
    assert!(world.signer_of("front-proxy-client", "front-proxy-ca-next"));
    assert_ne!(world.manifest("kube-apiserver"), prepared);

    assert!(world.done(Stage::Finished).await > 0);
    assert_eq!(world.all(".crt"), next);
    assert_eq!([world.all("-former.crt"), world.all("-next.crt")].concat().concat(), "");
    assert_eq!(world.manifest("kube-apiserver"), manifest, "as it was, with other files");
    let info = world.object(&ObjectRef::new("v1", "ConfigMap", Some("kube-public"), "cluster-info")).await;
    use base64::Engine;
    let published = base64::engine::general_purpose::STANDARD.encode(&next[0]);
    assert!(info["data"]["kubeconfig"].as_str().unwrap().contains(&published));
    assert_eq!(world.differences().await, []);
    // And once more.
    assert!(world.done(Stage::Prepared).await > 0);
}

#[tokio::test(start_paused = true)]
async fn a_stage_waits_for_nodes_that_lag_behind() {
    let world = World::new().await;
    world.follow().await;
    world.annotate("w1", KUBELET_ANNOTATION, "{\"trusts\":[\"a\"],\"client\":\"a\",\"serving\":\"a\"}").await;
    let early = world.go(Stage::Switched, false).await.0.unwrap_err().to_string();
    assert!(early.contains("rotate-ca prepare` on this node first"), "{early}");
    world.done(Stage::Prepared).await;
    let keys = world.all(".key");
    let behind = world.go(Stage::Switched, false).await.0.unwrap_err().to_string();
    assert!(behind.contains("the kubelet of w1 does not trust"), "{behind}");
    assert_eq!(world.all(".key"), keys, "nothing was touched");
    let trust = json!({ "trusts": ids(&world.file("ca.crt")), "client": "a", "serving": null }).to_string();
    world.annotate("w1", KUBELET_ANNOTATION, &trust).await;
    world.done(Stage::Switched).await;
    let behind = world.go(Stage::Finished, false).await.0.unwrap_err().to_string();
    assert!(behind.contains("the kubelet of w1 still has a certificate of the old"), "{behind}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_switched_before_pods_can_believe_in_it() {
    let world = World::new().await;
    world.follow().await;
    let (prepared, told) = world.go(Stage::Prepared, false).await;
    assert!(prepared.is_ok() && told.contains("has not written kube-root-ca.crt yet"), "{told}");
    let trust = json!({ "trusts": ids(&world.file("ca.crt")), "client": "a", "serving": null }).to_string();
    world.annotate("n1", KUBELET_ANNOTATION, &trust).await;
    let early = world.go(Stage::Switched, false).await.0.unwrap_err().to_string();
    assert!(early.contains("kube-root-ca.crt does not contain both"), "{early}");
    world.follow().await;
    let early = world.go(Stage::Switched, false).await.0.unwrap_err().to_string();
    assert!(early.contains("kube-proxy does not contain both"), "they were not started again: {early}");
    world.go(Stage::Prepared, false).await.0.unwrap();
    let proxy = ObjectRef::new("apps/v1", "DaemonSet", Some("kube-system"), "kube-proxy");
    let rolled_out = |seen: i64, updated: i64| {
        let status =
            json!({ "observedGeneration": seen, "desiredNumberScheduled": 2, "updatedNumberScheduled": updated });
        json!({ "metadata": { "generation": 2 }, "status": status })
    };
    for (seen, updated) in [(1, 2), (2, 1)] {
        world.patch(&proxy, &rolled_out(seen, updated)).await;
        let early = world.go(Stage::Switched, false).await.0.unwrap_err().to_string();
        assert!(early.contains("kube-proxy does not contain both"), "the former ones still run: {early}");
    }
    world.patch(&proxy, &rolled_out(2, 2)).await;
    world.done(Stage::Switched).await;
}

#[tokio::test(start_paused = true)]
async fn a_component_that_does_not_come_up_leaves_the_authorities_and_says_so() {
    let mut world = World::new().await;
    world.follow().await;
    world.done(Stage::Prepared).await;
    let (manifest, next) = (world.manifest("kube-controller-manager"), world.all("-next.crt"));
    world.broken = Some(("kube-controller-manager", "ca-next.crt"));
    let (outcome, told) = world.go(Stage::Switched, false).await;
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("were switched to stage `rotate-ca switch`"), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("kube-controller-manager did not become healthy") && cause.contains("rolled back"),
        "{cause}"
    );
    assert_eq!(world.manifest("kube-controller-manager"), manifest, "{told}");
    assert!(world.all(".crt").iter().zip(&next).all(|(bundle, next)| bundle.starts_with(next)), "they stay");
    world.broken = None;
    world.done(Stage::Switched).await;
    world.done(Stage::Finished).await;
    assert_eq!(world.differences().await, []);
}

#[tokio::test(start_paused = true)]
async fn cut_short_at_any_change_it_comes_to_the_same_end() {
    for stage in [Stage::Prepared, Stage::Switched, Stage::Finished] {
        let begin = World::new().await;
        begin.follow().await;
        for before in [Stage::Prepared, Stage::Switched].into_iter().filter(|before| *before < stage) {
            begin.done(before).await;
        }
        for cut in 0.. {
            let node = begin.node.copy();
            let world = World { node, etcd: begin.etcd.clone(), handed: SharedFiles::default(), broken: None };
            world.node.fail_after(cut);
            let (first, _) = world.go(stage, false).await;
            if world.node.failure_is_ahead() {
                assert!(cut > 5, "the failure was injected into every change");
                break;
            }
            assert!(first.is_err(), "the failure of change {cut} was passed over");
            world.done(stage).await;
            assert_eq!(world.differences().await, [], "{stage:?} cut at {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_control_plane_receives_the_authorities_that_were_made() {
    let first = World::new().await;
    first.follow().await;
    first.done(Stage::Prepared).await;
    let told = first.object(&ObjectRef::new("v1", "Node", None, "n1")).await;
    let told = told["metadata"]["annotations"][ROTATION_ANNOTATION].as_str().unwrap().to_owned();

    // The other one has the same CAs, and its cluster has only the same name.
    let mut second = World::new().await;
    for name in AUTHORITIES.iter().flat_map(|name| [format!("{name}-next.crt"), format!("{name}-next.key")]) {
        second.handed.insert(name.clone(), Secret::new(first.file(&name)));
    }
    let mark = json!({ "metadata": { "name": "n9", "labels": { "node-role.kubernetes.io/control-plane": "" } } });
    second.patch(&ObjectRef::new("v1", "Node", None, "n9"), &mark).await;
    second.annotate("n9", ROTATION_ANNOTATION, &told).await;
    second.follow().await;
    // It has created some itself, and nothing was reported.
    let stray = World::new().await;
    stray.follow().await;
    stray.done(Stage::Prepared).await;
    for name in second.handed.keys() {
        second.node.write(&Path::new(PKI).join(name), stray.file(name).as_bytes(), 0o600).unwrap();
    }
    second.done(Stage::Prepared).await;
    assert_eq!(second.all("-next.crt"), first.all("-next.crt"));
    assert_eq!(second.all("-next.key"), first.all("-next.key"));
    let mode = second.node.info(Path::new("/etc/kubernetes/pki/ca-next.key")).unwrap().unwrap().mode;
    assert_eq!(mode, 0o600);

    // CAs other than the reported ones are not accepted.
    let mut third = World::new().await;
    third.handed = second.handed.clone();
    third.patch(&ObjectRef::new("v1", "Node", None, "n9"), &mark).await;
    third.annotate("n9", ROTATION_ANNOTATION, "prepared 0123456789abcdef").await;
    third.follow().await;
    assert!(third.go(Stage::Prepared, false).await.0.is_err());
    assert_eq!(third.all("-next.key").concat(), "");
}
