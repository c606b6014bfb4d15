//! `bootstrap init` on a node in memory: what it plans, that it converges, that it can be continued.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::sync::Arc;

use jiff::Timestamp;
use roost::adapters::fake::Record;
use roost::adapters::fake::node::FakeNode;
use roost::bootstrap::{RunOptions, run};
use roost::core::bootstrap::Facts;
use roost::core::bootstrap::static_pods;
use roost::core::bootstrap::workflow::INIT;
use roost::core::model::spec::Spec;
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

#[test]
fn the_manifests_are_those_of_kubeadm_for_these_settings() {
    let facts = Facts::at(Timestamp::UNIX_EPOCH);
    let manifests = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
        .map(|component| static_pods::render(component, &spec(&[]), &facts).unwrap());
    insta::assert_snapshot!(manifests.join("---\n"));
}

#[test]
fn programs_of_the_host_take_the_place_of_images() {
    let programs = "etcd=/bin/etcd,kube-apiserver=/bin/api,kube-controller-manager=/bin/cm,kube-scheduler=/bin/s";
    let spec = spec(&[("components.source", "host"), ("components.binaries", programs)]);
    let manifest = static_pods::render("kube-apiserver", &spec, &Facts::at(Timestamp::UNIX_EPOCH)).unwrap();
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
    let manifest = static_pods::render("etcd", &spec, &Facts::at(Timestamp::UNIX_EPOCH)).unwrap();
    for part in
        ["--data-dir=/data/etcd", "--cert-file=/var/lib/pki/etcd/server.crt", "--quota-backend-bytes=8589934592"]
    {
        assert!(manifest.contains(part), "{part} is not in\n{manifest}");
    }
    assert!(!manifest.contains("/var/lib/etcd") && !manifest.contains("snapshot-count"), "{manifest}");
}
