//! `bootstrap init` on an in-memory node: its plan, that it converges, and that it can be continued.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::sync::Arc;

use jiff::Timestamp;
use roost::adapters::etcd::HostEtcdFiles;
use roost::adapters::x509::X509;
use roost::bootstrap::certificates::observe_certificates;
use roost::bootstrap::{RunOptions, etcd, run};
use roost::core::bootstrap::Facts;
use roost::core::bootstrap::static_pods;
use roost::core::bootstrap::workflow::{INIT, RENEW};
use roost::core::model::spec::{Component, Spec};
use roost::core::model::with_causes;
use roost::fakes::Record;
use roost::fakes::node::FakeNode;
use roost::ports::bootstrap::NodeFiles;
use shared::{ports_of, spec_of};

fn spec(settings: &[(&str, &str)]) -> Spec {
    spec_of("n1", "10.0.0.1", settings)
}

async fn init(node: &Arc<FakeNode>, dry_run: bool) -> Result<(usize, String), roost::bootstrap::RunError> {
    let options = RunOptions { dry_run, ..RunOptions::default() };
    let record = Record::default();
    let changed = run(INIT, &spec(&[]), &ports_of(node), &options, &|facts| facts, &record).await?;
    Ok((changed, record.text()))
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let node = FakeNode::new();
    let (_, plan) = init(&node, true).await.unwrap();
    insta::assert_snapshot!(plan);
    assert_eq!(node.file("/etc/kubernetes/pki/ca.crt"), None);
    assert_eq!(node.objects(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_second_run_finds_nothing_to_do() {
    let node = FakeNode::new();
    assert!(init(&node, false).await.unwrap().0 > 0);
    let (changed, rest) = init(&node, false).await.unwrap();
    assert_eq!(changed, 0, "{rest}");
    let (planned, rest) = init(&node, true).await.unwrap();
    assert_eq!(planned, 0, "{rest}");
}

#[tokio::test(start_paused = true)]
async fn a_run_cut_short_anywhere_is_continued_by_running_again() {
    let whole = FakeNode::new();
    init(&whole, false).await.unwrap();
    for cut in 0.. {
        let node = FakeNode::new();
        node.fail_after(cut);
        let first = init(&node, false).await;
        if node.failure_is_ahead() {
            assert!(cut > 40, "the failure was injected into every change");
            break;
        }
        assert!(first.is_err(), "the failure of change {cut} was passed over");
        let ca = node.file("/etc/kubernetes/pki/ca.crt");
        init(&node, false).await.unwrap();
        assert_eq!(node.objects(), whole.objects(), "cut at change {cut}");
        assert!(
            ca.is_none() || ca == node.file("/etc/kubernetes/pki/ca.crt"),
            "the CA was replaced after change {cut}"
        );
        assert_eq!(init(&node, false).await.unwrap().0, 0, "cut at change {cut}");
    }
}

const SIGNED: [&str; 8] = [
    "pki/apiserver.crt",
    "pki/apiserver-kubelet-client.crt",
    "admin.conf",
    "super-admin.conf",
    "kubelet.conf",
    "controller-manager.conf",
    "scheduler.conf",
    "serving-approver.conf",
];

#[tokio::test(start_paused = true)]
async fn without_the_key_of_the_ca_all_that_it_signs_has_to_be_brought_along() {
    let elsewhere = FakeNode::new();
    init(&elsewhere, false).await.unwrap();
    let node = FakeNode::new();
    let bring = |name: &str| {
        let path = format!("/etc/kubernetes/{name}");
        node.write(path.as_ref(), elsewhere.file(&path).unwrap().as_bytes(), 0o600).unwrap();
    };
    bring("pki/ca.crt");
    let error = with_causes(&init(&node, false).await.unwrap_err());
    for name in SIGNED {
        assert!(error.contains(&format!("/etc/kubernetes/{name} (")), "{name} is not in\n{error}");
    }
    assert!(error.contains("/O=system:nodes/CN=system:node:n1, for a client, at https://127.0.0.1:6444"), "{error}");
    assert_eq!(node.active_units(), ["containerd.service"], "nothing is started");
    SIGNED.iter().for_each(|name| bring(name));
    let error = with_causes(&init(&node, false).await.unwrap_err());
    assert!(
        error.contains("apiserver.crt (") && error.contains("has no key") && !error.contains("admin.conf"),
        "{error}"
    );
    ["pki/apiserver.key", "pki/apiserver-kubelet-client.key"].iter().for_each(|name| bring(name));
    init(&node, false).await.unwrap();
    assert_eq!(node.file("/etc/kubernetes/pki/ca.key"), None);
    assert_eq!(init(&node, false).await.unwrap().0, 0);

    // Nine months later everything is due: what is signed here is renewed, and the rest is still valid.
    let mut ports = ports_of(&node);
    ports.now = || Timestamp::from_second(1_800_000_000 + 270 * 86400).unwrap();
    let brought = node.file("/etc/kubernetes/pki/apiserver.crt");
    let own = node.file("/etc/kubernetes/pki/front-proxy-client.crt");
    for table in [RENEW, INIT] {
        run(table, &spec(&[]), &ports, &RunOptions::default(), &|facts| facts, &Record::default()).await.unwrap();
    }
    assert_eq!(node.file("/etc/kubernetes/pki/apiserver.crt"), brought);
    assert_ne!(node.file("/etc/kubernetes/pki/front-proxy-client.crt"), own);
    let reports = observe_certificates(node.as_ref(), &X509, &spec(&[]), (ports.now)()).unwrap();
    let due = reports.iter().filter(|report| !report.renewed_here && report.fault.is_some()).count();
    assert_eq!(due, SIGNED.len());
}

#[tokio::test(start_paused = true)]
async fn an_etcd_of_somebody_else_needs_its_clients_files_and_is_left_to_its_owner() {
    let node = FakeNode::new();
    let spec = spec(&[
        ("etcd.endpoints", "https://10.0.0.9:2379"),
        ("etcd.ca", "/etc/own/ca.crt"),
        ("etcd.certificate", "/etc/own/client.crt"),
        ("etcd.key", "/etc/own/client.key"),
    ]);
    let ports = ports_of(&node);
    let init = async || run(INIT, &spec, &ports, &RunOptions::default(), &|facts| facts, &Record::default()).await;
    for name in ["ca.crt", "client.crt"] {
        node.write(format!("/etc/own/{name}").as_ref(), b"x", 0o600).unwrap();
    }
    let error = with_causes(&init().await.unwrap_err());
    assert!(error.contains("etcd.key: file /etc/own/client.key does not exist"), "{error}");
    assert_eq!(node.active_units(), ["containerd.service"], "nothing is started");
    node.write("/etc/own/client.key".as_ref(), b"x", 0o600).unwrap();
    init().await.unwrap();
    assert_eq!(node.file("/etc/kubernetes/manifests/etcd.yaml"), None);
    let api = node.file("/etc/kubernetes/manifests/kube-apiserver.yaml").unwrap();
    assert!(api.contains("--etcd-servers=https://10.0.0.9:2379"), "{api}");
    let restored = etcd::restore(&ports, &HostEtcdFiles, &spec, "/x.db".as_ref(), &Record::default()).await;
    let recovered = etcd::recover(&ports, &spec, &Record::default()).await;
    let removed = etcd::remove(&ports, &spec, "own", false).await;
    for error in [restored.map(drop).unwrap_err(), recovered.unwrap_err(), removed.map(drop).unwrap_err()] {
        assert!(matches!(error, etcd::Error::External), "{error}");
    }
    assert_eq!(node.file("/etc/kubernetes/manifests/kube-apiserver.yaml"), Some(api));
}

#[test]
fn the_manifests_are_those_of_kubeadm_for_these_settings() {
    let facts = Facts::at(Timestamp::UNIX_EPOCH);
    let manifests = Component::REQUIRED
        .map(|component| static_pods::render(component, &spec(&[("security.hardening", "false")]), &facts).unwrap());
    insta::assert_snapshot!(manifests.join("---\n"));
}

#[test]
fn programs_of_the_host_take_the_place_of_images() {
    let programs = "etcd=/bin/etcd,kube-apiserver=/bin/api,kube-controller-manager=/bin/cm,kube-scheduler=/bin/s";
    let spec = spec(&[("components.source", "host"), ("components.binaries", programs)]);
    let manifest = static_pods::render(Component::ApiServer, &spec, &Facts::at(Timestamp::UNIX_EPOCH)).unwrap();
    for part in ["image: localhost/roost/scratch:1", "- /usr/local/bin/kube-apiserver", "path: /bin/api", "type: File"]
    {
        assert!(manifest.contains(part), "{part} is not in\n{manifest}");
    }
}

#[test]
fn paths_and_flags_of_the_user_reach_the_manifest() {
    let spec = spec(&[
        ("paths.pki", "/var/lib/pki"),
        ("paths.etcd_data", "/data/etcd"),
        ("args", "[etcd]\nquota-backend-bytes = \"8589934592\"\nsnapshot-count = \"\""),
    ]);
    let manifest = static_pods::render(Component::Etcd, &spec, &Facts::at(Timestamp::UNIX_EPOCH)).unwrap();
    for part in
        ["--data-dir=/data/etcd", "--cert-file=/var/lib/pki/etcd/server.crt", "--quota-backend-bytes=8589934592"]
    {
        assert!(manifest.contains(part), "{part} is not in\n{manifest}");
    }
    assert!(!manifest.contains("/var/lib/etcd") && !manifest.contains("snapshot-count"), "{manifest}");
}
