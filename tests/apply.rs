//! Changed settings of an in-memory control plane: applied, rolled back if a component fails, and without changes.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use roost::adapters::etcd::HostEtcdFiles;
use roost::bootstrap::apply_settings::{ApplyError, apply_control_plane};
use roost::bootstrap::cis::observe_controls;
use roost::bootstrap::upgrade::{self, ControlPlaneChange, Purpose, is_under_way};
use roost::bootstrap::verify::observe_differences;
use roost::bootstrap::{Ports, RunOptions, run};
use roost::core::bootstrap::cis::{Verdict, judge};
use roost::core::bootstrap::workflow::{INIT, RENEW};
use roost::core::model::spec::{Component, Spec};
use roost::fakes::Record;
use roost::fakes::members::{FakeEtcd, member};
use roost::fakes::node::{FakeNode, FakeReachability};
use roost::ports::bootstrap::{NodeFiles, ObjectRef, Reachability, Units};
use serde_json::{Value, json};
use shared::{path, ports, spec_of};

type Settings = [(&'static str, &'static str)];
const SYSTEMD: [(&str, &str); 3] = [
    ("mode", "systemd"),
    ("components.source", "host"),
    (
        "components.binaries",
        "etcd=/b/etcd,kube-apiserver=/b/api,kube-controller-manager=/b/cm,kube-scheduler=/b/s,pause=/b/p,coredns=/b/c,kube-proxy=/b/x",
    ),
];

fn spec(settings: &Settings) -> Spec {
    spec_of("n1", "10.0.0.1", settings)
}

struct World {
    node: Arc<FakeNode>,
    etcd: Arc<FakeEtcd>,
    broken: Option<(&'static str, &'static str)>,
}

impl World {
    /// A control plane created by `init`.
    async fn of(settings: &Settings) -> Self {
        let etcd = FakeEtcd::with(&[member(1, "n1", "10.0.0.1", false)]);
        let world = Self { node: FakeNode::new(), etcd, broken: None };
        let ports = ports(&world.node, None, &world.etcd);
        run(INIT, &spec(settings), &ports, &RunOptions::default(), &|facts| facts, &Record::default()).await.unwrap();
        world
    }

    async fn apply(&self, settings: &Settings, dry_run: bool) -> (Result<usize, ApplyError>, String) {
        let record = Record::default();
        let timeout = Duration::from_secs(300);
        let change =
            ControlPlaneChange { etcd_files: &HostEtcdFiles, timeout, dry_run, purpose: Purpose::Settings, turn: None };
        let ports = ports(&self.node, self.broken, &self.etcd);
        let outcome = apply_control_plane(&ports, &spec(settings), &change, true, &record).await;
        assert!(dry_run || !is_under_way(&ports, Purpose::Settings).unwrap() || outcome.is_err());
        (outcome, record.text())
    }

    fn manifests(&self) -> Vec<String> {
        Component::REQUIRED.iter().map(|component| self.node.file(&path(component)).unwrap()).collect()
    }
}

const CHANGED: [(&str, &str); 4] = [
    ("args", "kube-scheduler = { v = \"4\" }"),
    ("certs.sans", "api.example.org"),
    ("node.labels", "zone=a"),
    ("audit.policy", "/etc/roost/audit.yaml"),
];

#[tokio::test(start_paused = true)]
async fn what_init_made_is_at_rest() {
    let world = World::of(&[]).await;
    let (planned, told) = world.apply(&[], true).await;
    assert_eq!(planned.unwrap(), 0, "{told}");
    let (done, told) = world.apply(&[], false).await;
    assert_eq!(done.unwrap(), 0, "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_difference_and_a_run_makes_it_once() {
    let world = World::of(&[]).await;
    let before = world.manifests();
    let missing = world.apply(&CHANGED, true).await.0.unwrap_err().to_string();
    assert_eq!(missing, "audit.policy: file /etc/roost/audit.yaml does not exist");
    world.node.write(Path::new("/etc/roost/audit.yaml"), b"kind: Policy", 0o600).unwrap();
    let (planned, told) = world.apply(&CHANGED, true).await;
    assert!(planned.unwrap() > 0);
    for line in [
        "+ --v=4",
        "+ --audit-policy-file=/etc/roost/audit.yaml",
        "label node n1 zone=a",
        "issue /etc/kubernetes/pki/apiserver.crt",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    assert_eq!(world.manifests(), before);
    let (done, told) = world.apply(&CHANGED, false).await;
    assert!(done.unwrap() > 0, "{told}");
    let manifests = world.manifests();
    assert!(manifests[3].contains("--v=4") && manifests[1].contains("--audit-policy-file"));
    assert_eq!((&manifests[0], &manifests[2]), (&before[0], &before[2]), "the others are left alone");
    let (again, told) = world.apply(&CHANGED, false).await;
    assert_eq!(again.unwrap(), 0, "{told}");
    // Another policy in the same file.
    world.node.write(Path::new("/etc/roost/audit.yaml"), b"kind: Policy # other", 0o600).unwrap();
    assert_eq!(world.apply(&CHANGED, false).await.0.unwrap(), 1);
    assert_ne!(world.manifests()[1], manifests[1]);
}

#[tokio::test(start_paused = true)]
async fn a_label_goes_with_its_setting_and_somebody_elses_stays() {
    let world = World::of(&[("node.labels", "zone=a,size=b")]).await;
    let api = FakeReachability(world.node.clone()).connect("any".as_ref()).await.unwrap();
    let node = ObjectRef::new("v1", "Node", None, "n1");
    api.merge_patch(&node, &json!({"metadata": {"labels": {"mine": "yes"}}})).await.unwrap();
    let settings: &Settings = &[("node.labels", "zone=a")];
    let differences = observe_differences(&ports(&world.node, None, &world.etcd), &spec(settings), true, true).await;
    let told: Vec<String> = differences.unwrap().into_iter().map(|difference| difference.what).collect();
    assert!(told.iter().any(|what| what.contains("label node n1 zone=a and remove")), "{told:?}");
    world.apply(settings, false).await.0.unwrap();
    let labels = api.get(&node).await.unwrap().unwrap()["metadata"]["labels"].clone();
    assert_eq!((&labels["zone"], &labels["size"], &labels["mine"]), (&json!("a"), &Value::Null, &json!("yes")));
    assert_eq!(world.apply(settings, false).await.0.unwrap(), 0);
    world.apply(&[], false).await.0.unwrap();
    let labels = api.get(&node).await.unwrap().unwrap()["metadata"]["labels"].clone();
    assert_eq!((&labels["zone"], &labels["mine"]), (&Value::Null, &json!("yes")));
}

#[tokio::test(start_paused = true)]
async fn a_component_that_does_not_come_up_gets_its_former_manifest_back() {
    let mut world = World::of(&[]).await;
    let before = world.manifests();
    world.broken = Some(("kube-scheduler", "--v=4"));
    let (outcome, told) = world.apply(&CHANGED[..3], false).await;
    assert!(
        matches!(
            &outcome,
            Err(ApplyError::ControlPlane(upgrade::Error::RolledBack {
                component: Component::Scheduler,
                snapshot: None,
                ..
            }))
        ),
        "{outcome:?} {told}"
    );
    assert_eq!(world.manifests(), before);
    let (again, told) = world.apply(&[], false).await;
    assert_eq!(again.unwrap(), 0, "{told}");
}

#[tokio::test(start_paused = true)]
async fn cut_short_at_any_change_it_comes_to_the_same_end() {
    for cut in 0.. {
        let world = World::of(&[]).await;
        world.node.fail_after(cut);
        let (first, _) = world.apply(&CHANGED[..3], false).await;
        if world.node.failure_is_ahead() {
            assert!(cut > 5, "the failure was injected into every change");
            break;
        }
        assert!(first.is_err(), "the failure of change {cut} was passed over");
        let (second, told) = world.apply(&CHANGED[..3], false).await;
        assert!(second.is_ok(), "cut at {cut}: {second:?} {told}");
        assert!(world.manifests()[3].contains("--v=4"));
        assert_eq!(world.apply(&CHANGED[..3], false).await.0.unwrap(), 0, "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_address_is_told_to_etcd_and_written_everywhere() {
    let world = World::of(&[]).await;
    let moved: &Settings = &[("node.address", "10.0.0.2")];
    let (done, told) = world.apply(moved, false).await;
    assert!(done.unwrap() > 0, "{told}");
    assert_eq!(world.etcd.members()[0].peer_urls, ["https://10.0.0.2:2380"]);
    let manifests = world.manifests();
    assert!(manifests.iter().all(|manifest| !manifest.contains("10.0.0.1:")), "{manifests:?}");
    assert!(manifests[1].contains("--advertise-address=10.0.0.2"));
    for config in ["admin.conf", "controller-manager.conf", "scheduler.conf"] {
        let text = world.node.file(&format!("/etc/kubernetes/{config}")).unwrap();
        assert!(text.contains("https://10.0.0.2:6443"), "{config}: {text}");
    }
    let (again, told) = world.apply(moved, false).await;
    assert_eq!(again.unwrap(), 0, "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_follows_to_another_endpoint_with_the_credentials_that_it_has() {
    let world = World::of(&[]).await;
    let before = world.node.file("/etc/kubernetes/kubelet.conf").unwrap();
    let moved: &Settings = &[("cluster.endpoint", "api.example.org"), ("cluster.balancer", "off")];
    assert!(world.apply(moved, false).await.0.unwrap() > 0);
    let after = world.node.file("/etc/kubernetes/kubelet.conf").unwrap();
    let user = |text: &str| text.split("users:").nth(1).unwrap().to_owned();
    assert!(after.contains("server: https://api.example.org:6443"), "{after}");
    assert_eq!(user(&after), user(&before));
    assert!(world.node.state("kubelet.service").await.unwrap().is_active());
    let (again, told) = world.apply(moved, false).await;
    assert_eq!(again.unwrap(), 0, "{told}");
}

#[tokio::test(start_paused = true)]
async fn services_get_their_units_one_after_another() {
    let world = World::of(&SYSTEMD).await;
    let at_rest = world.apply(&SYSTEMD, false).await;
    assert_eq!(at_rest.0.unwrap(), 0, "{}", at_rest.1);
    let begun = async |component: &str| world.node.state(&format!("roost-{component}.service")).await.unwrap().begun_at;
    let (scheduler, api) = (begun("kube-scheduler").await, begun("kube-apiserver").await);
    let changed = [SYSTEMD.as_slice(), &CHANGED[..1]].concat();
    let (done, told) = world.apply(&changed, false).await;
    assert_eq!(done.unwrap(), 1, "{told}");
    assert!(begun("kube-scheduler").await > scheduler, "it runs its new unit");
    assert_eq!(begun("kube-apiserver").await, api, "the others are left alone");
    let pods = world.apply(&CHANGED[..1], true).await.0.unwrap_err().to_string();
    assert!(pods.contains("convert --to static-pods"), "{pods}");
}

#[tokio::test(start_paused = true)]
async fn verify_finds_what_differs_and_changes_nothing() {
    let world = World::of(&[]).await;
    let ports = ports(&world.node, None, &world.etcd);
    let found = observe_differences(&ports, &spec(&[]), true, true).await.unwrap();
    assert_eq!(found, []);
    world
        .node
        .write(
            Path::new("/etc/kubernetes/pki/sa.key"),
            world.node.file("/etc/kubernetes/pki/sa.key").unwrap().as_bytes(),
            0o644,
        )
        .unwrap();
    let manifest = world.node.file(&path("kube-scheduler")).unwrap().replace("leader-elect=true", "leader-elect=false");
    world.node.write(Path::new(&path("kube-scheduler")), manifest.as_bytes(), 0o600).unwrap();
    let found = observe_differences(&ports, &spec(&[("certs.sans", "a.example.org")]), true, true).await.unwrap();
    let lines: Vec<String> = found.iter().map(|found| format!("{}: {}", found.subject, found.what)).collect();
    let manifest = path("kube-scheduler");
    assert_eq!(
        lines,
        [
            format!("kube-scheduler: {manifest}: - --leader-elect=false"),
            format!("kube-scheduler: {manifest}: + --leader-elect=true"),
            "/etc/kubernetes/pki/apiserver.crt: it lacks a.example.org".to_owned(),
            "/etc/kubernetes/pki/sa.key: readable by others: its mode is 0644, not 0600".to_owned(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn renewal_leaves_settings_that_nobody_applied() {
    let world = World::of(&[]).await;
    let before = world.manifests();
    let (ports, changed) = (ports(&world.node, None, &world.etcd), spec(&CHANGED[..1]));
    let options = RunOptions { reissue: true, ..RunOptions::default() };
    run(RENEW, &changed, &ports, &options, &|facts| facts, &Record::default()).await.unwrap();
    let manifests = world.manifests();
    assert_eq!(manifests[..2], before[..2]);
    assert!(manifests[2] != before[2] && manifests[3] != before[3], "their certificates are new");
    assert!(!manifests[3].contains("--v=4"), "{}", manifests[3]);
    let (at_rest, told) = world.apply(&[], false).await;
    assert_eq!(at_rest.unwrap(), 0, "the texts are those of the settings: {told}");
}

const LAX: [(&str, &str); 1] = [("security.hardening", "false")];

#[tokio::test(start_paused = true)]
async fn a_running_cluster_is_offered_the_hardening_and_leaves_it_by_a_setting() {
    let world = World::of(&LAX).await;
    let before = world.manifests();
    let (planned, told) = world.apply(&[], true).await;
    assert!(planned.unwrap() > 0);
    for line in [
        "+ --profiling=false",
        "+ --audit-policy-file=/etc/kubernetes/audit-policy.yaml",
        "+ --enable-admission-plugins=NodeRestriction,DenyServiceExternalIPs",
        "write /etc/kubernetes/audit-policy.yaml (0600)",
        "write /var/lib/kubelet/config.yaml (0600)",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    assert_eq!((world.manifests(), world.node.file(POLICY)), (before.clone(), None));
    let (done, told) = world.apply(&[], false).await;
    assert!(done.unwrap() > 0, "{told}");
    let hardened = world.manifests();
    assert!(hardened[1..].iter().all(|manifest| manifest.contains("--profiling=false")));
    assert_eq!(hardened[0], before[0], "etcd is left alone");
    assert!(world.node.file(POLICY).is_some());
    assert!(world.node.file("/var/lib/kubelet/config.yaml").unwrap().contains("seccompDefault: true"));
    assert!(world.apply(&LAX, false).await.0.unwrap() > 0);
    assert_eq!(world.manifests(), before);
}

const POLICY: &str = "/etc/kubernetes/audit-policy.yaml";

#[tokio::test(start_paused = true)]
async fn services_are_offered_it_as_well() {
    let world = World::of(&[SYSTEMD.as_slice(), &LAX].concat()).await;
    let unit = || world.node.file("/etc/systemd/system/roost-kube-apiserver.service").unwrap();
    assert!(!unit().contains("audit"), "{}", unit());
    assert!(world.apply(&SYSTEMD, false).await.0.unwrap() > 0);
    for line in [
        "--profiling=false",
        "--audit-policy-file=%d/audit-policy.yaml",
        "LoadCredential=audit-policy.yaml:/etc/kubernetes/audit-policy.yaml",
        "LogsDirectory=kubernetes/audit",
    ] {
        assert!(unit().contains(line), "{line} is not in\n{}", unit());
    }
    let (again, told) = world.apply(&SYSTEMD, false).await;
    assert_eq!(again.unwrap(), 0, "{told}");
}

const AUTHORITY: [(&str, &str); 1] = [("args", "kube-apiserver = { kubelet-certificate-authority = \"/ca.crt\" }")];

#[tokio::test(start_paused = true)]
async fn the_benchmark_is_held_against_what_is_on_the_node() {
    for settings in [AUTHORITY.to_vec(), [SYSTEMD.as_slice(), &AUTHORITY].concat()] {
        let world = World::of(&settings).await;
        let ports = ports(&world.node, None, &world.etcd);
        let failed = async || {
            let judged = judge(&observe_controls(&ports, &spec(&settings), true).await.unwrap());
            let failed = judged.into_iter().filter(|judged| judged.ours == Verdict::Fail);
            failed.map(|judged| (judged.id, judged.why)).collect::<Vec<_>>()
        };
        assert_eq!(failed().await, []);
        for (file, mode) in [("/etc/kubernetes/pki/etcd/ca.key", 0o640), ("/etc/systemd/system/kubelet.service", 0o644)]
        {
            let text = world.node.file(file).unwrap();
            world.node.write(Path::new(file), text.as_bytes(), mode).unwrap();
        }
        let config = world.node.file("/var/lib/kubelet/config.yaml").unwrap().replace("Webhook", "AlwaysAllow");
        world.node.write(Path::new("/var/lib/kubelet/config.yaml"), config.as_bytes(), 0o600).unwrap();
        let drop_in = "/etc/systemd/system/kubelet.service.d/own.conf";
        let own = b"[Service]\nExecStart=\nExecStart=/k --read-only-port=10255\n";
        world.node.write(Path::new(drop_in), own, 0o644).unwrap();
        let found: Vec<String> = failed().await.iter().map(|(id, why)| format!("{id} {why}")).collect();
        assert_eq!(
            found,
            [
                "1.1.21 /etc/kubernetes/pki/etcd/ca.key 0640",
                "4.1.1 /etc/systemd/system/kubelet.service 0644",
                "4.2.2 authorization.mode=AlwaysAllow",
                "4.2.4 --read-only-port=10255",
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn flags_are_those_of_the_components_on_the_node_and_not_of_the_settings() {
    let world = World::of(&LAX).await;
    let ports = ports(&world.node, None, &world.etcd);
    let seen = observe_controls(&ports, &spec(&[]), true).await.unwrap();
    assert_eq!(seen.flags[&Component::Scheduler].get("profiling"), None);
    assert_eq!(seen.flags[&Component::ApiServer]["authorization-mode"], "Node,RBAC");
}

const SERVING_CA: &str = "/etc/kubernetes/pki/kubelet-serving-ca.crt";
const BOTH: &str = "/etc/kubernetes/pki/kubelet-authorities.crt";

impl World {
    fn file(&self, path: &str) -> String {
        self.node.file(path).unwrap_or_default()
    }

    /// A control plane made by a version without a CA for kubelets.
    async fn forget_serving_authority(&self) {
        for file in [SERVING_CA, "/etc/kubernetes/pki/kubelet-serving-ca.key"] {
            self.node.remove(Path::new(file)).unwrap();
        }
        let api = FakeReachability(self.node.clone()).connect(Path::new("any")).await.unwrap();
        api.delete(&ObjectRef::new("v1", "ConfigMap", Some("kube-system"), "kubelet-serving-ca")).await.unwrap();
    }

    /// The node reports which CA signed its kubelet's serving certificate.
    async fn serving_signer(&self, ca: &str) {
        let signer = roost::core::bootstrap::rotation::ids(&self.file(ca)).remove(0);
        let trust = json!({ "trusts": [], "client": null, "serving": signer }).to_string();
        let patch = json!({ "metadata": { "name": "n1", "annotations": { "roost.io/kubelet-authorities": trust } } });
        let api = FakeReachability(self.node.clone()).connect(Path::new("any")).await.unwrap();
        api.merge_patch(&ObjectRef::new("v1", "Node", None, "n1"), &patch).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn kubelets_of_a_new_cluster_have_an_authority_of_their_own_from_the_start() {
    let world = World::of(&[]).await;
    let api = world.file(&path("kube-apiserver"));
    assert!(api.contains(&format!("--kubelet-certificate-authority={SERVING_CA}")), "{api}");
    let manager = world.file(&path("kube-controller-manager"));
    assert!(manager.contains(&format!("--cluster-signing-kubelet-serving-cert-file={SERVING_CA}")), "{manager}");
    assert!(manager.contains("--cluster-signing-kubelet-client-cert-file=/etc/kubernetes/pki/ca.crt"), "{manager}");
    assert!(!manager.contains("--cluster-signing-cert-file"), "it takes one way or the other: {manager}");
    assert_eq!(world.file(BOTH), "");
    // Certificates that the cluster does not sign cannot be reported by it.
    let own = World::of(&[("kubelet", "serverTLSBootstrap = false")]).await;
    assert!(!own.file(&path("kube-apiserver")).contains("--kubelet-certificate-authority"));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_from_before_believes_both_until_every_kubelet_has_a_new_certificate() {
    let world = World::of(&[]).await;
    world.forget_serving_authority().await;
    world.serving_signer("/etc/kubernetes/pki/ca.crt").await;
    // The daily check creates no CA that the other control planes do not have.
    let ports = ports(&world.node, None, &world.etcd);
    run(RENEW, &spec(&[]), &ports, &RunOptions::default(), &|facts| facts, &Record::default()).await.unwrap();
    assert_eq!(world.file(SERVING_CA), "");

    world.apply(&[], false).await.0.unwrap();
    assert_ne!(world.file(SERVING_CA), "");
    assert_eq!(world.file(BOTH), format!("{}{}", world.file("/etc/kubernetes/pki/ca.crt"), world.file(SERVING_CA)));
    let api = || world.file(&path("kube-apiserver"));
    assert!(api().contains(&format!("--kubelet-certificate-authority={BOTH}")), "{}", api());
    assert!(world.node.objects().contains(&"ConfigMap kube-system/kubelet-serving-ca".to_owned()));
    let (again, lines) = world.apply(&[], false).await;
    assert_eq!(again.unwrap(), 0, "{lines}");

    world.serving_signer(SERVING_CA).await;
    world.apply(&[], false).await.0.unwrap();
    assert_eq!(world.file(BOTH), "");
    assert!(api().contains(&format!("--kubelet-certificate-authority={SERVING_CA}")), "{}", api());
    let (again, lines) = world.apply(&[], false).await;
    assert_eq!(again.unwrap(), 0, "{lines}");
}

#[tokio::test(start_paused = true)]
async fn a_further_control_plane_receives_the_authority_that_the_cluster_knows() {
    let (first, second) = (World::of(&[]).await, World::of(&[]).await);
    second.forget_serving_authority().await;
    let api = FakeReachability(second.node.clone()).connect(Path::new("any")).await.unwrap();
    let known = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "namespace": "kube-system", "name": "kubelet-serving-ca" },
        "data": { "ca.crt": first.file(SERVING_CA) },
    });
    api.apply(&known).await.unwrap();
    let names = ["kubelet-serving-ca.crt", "kubelet-serving-ca.key", "ca.key"];
    let text = |name: &str| roost::core::model::Secret::new(first.file(&format!("/etc/kubernetes/pki/{name}")));
    let handed = names.map(|name| (name.to_owned(), text(name))).into();
    let handover = Arc::new(roost::fakes::members::FakeHandover(handed));
    let ports = Ports { handover, ..ports(&second.node, None, &second.etcd) };
    let timeout = Duration::from_secs(300);
    let change = ControlPlaneChange {
        etcd_files: &HostEtcdFiles,
        timeout,
        dry_run: false,
        purpose: Purpose::Settings,
        turn: None,
    };
    let own_key = second.file("/etc/kubernetes/pki/ca.key");
    apply_control_plane(&ports, &spec(&[]), &change, false, &Record::default()).await.unwrap();
    assert_eq!(second.file(SERVING_CA), first.file(SERVING_CA));
    assert_eq!(second.file("/etc/kubernetes/pki/ca.key"), own_key, "nothing else is taken over");
}
