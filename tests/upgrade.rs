//! An upgrade of one control plane on an in-memory node: forward, rolled back, and continued from any interruption.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use roost::bootstrap::Ports;
use roost::bootstrap::upgrade::{self, ControlPlaneChange, Purpose, is_under_way, keep_running, upgrade_control_plane};
use roost::core::bootstrap::{Facts, static_pods};
use roost::core::model::spec::{Component, Spec};
use roost::fakes::members::{FakeEtcd, member};
use roost::fakes::node::FakeNode;
use roost::fakes::{FakeChecks, Record};
use roost::ports::bootstrap::{EtcdFileError, EtcdFiles, NodeFiles, Units};
use shared::{path, spec_of};

const OLD: &str = "v1.35.4";
const NEW: &str = "v1.36.3";

fn spec(version: &str) -> Spec {
    spec_of("n1", "10.0.0.1", &[("cluster.kubernetes_version", version)])
}

fn ports(node: &Arc<FakeNode>, broken: Option<(&'static str, &'static str)>) -> Ports {
    shared::ports(node, broken, &FakeEtcd::with(&[member(1, "n1", "10.0.0.1", false)]))
}

/// Snapshots are complete.
struct Snapshots(Arc<FakeNode>);

impl EtcdFiles for Snapshots {
    fn check_snapshot(&self, _path: &Path) -> Result<u64, EtcdFileError> {
        Ok(1)
    }
    fn rename(&self, _from: &Path, to: &Path) -> Result<(), EtcdFileError> {
        let io = |error: roost::ports::bootstrap::FileError| EtcdFileError::Io {
            verb: "move",
            path: to.into(),
            source: error.source,
        };
        self.0.write(to, b"snapshot", 0o600).map_err(io)
    }
}

/// A control plane of that version, with the files that are needed to query its etcd.
async fn node_of(version: &str) -> Arc<FakeNode> {
    let node = FakeNode::new();
    let facts = Facts::at(Timestamp::UNIX_EPOCH);
    for component in Component::REQUIRED {
        let manifest = static_pods::render(component, &spec(version), &facts).unwrap();
        node.write(Path::new(&path(component)), manifest.as_bytes(), 0o600).unwrap();
    }
    for name in ["ca.crt", "healthcheck-client.crt", "healthcheck-client.key"] {
        node.write(&Path::new("/etc/kubernetes/pki/etcd").join(name), b"(pem)", 0o600).unwrap();
    }
    node.start("kubelet.service").await.unwrap();
    node
}

async fn upgrade(
    node: &Arc<FakeNode>,
    broken: Option<(&'static str, &'static str)>,
    dry_run: bool,
) -> (Result<usize, upgrade::Error>, String) {
    let record = Record::default();
    let snapshots = Snapshots(node.clone());
    let change = ControlPlaneChange {
        etcd_files: &snapshots,
        timeout: Duration::from_secs(300),
        dry_run,
        purpose: Purpose::Version,
        turn: None,
    };
    let outcome = upgrade_control_plane(&ports(node, broken), &spec(NEW), &change, &record).await;
    (outcome, record.text())
}

fn manifests(node: &Arc<FakeNode>) -> Vec<String> {
    Component::REQUIRED.iter().map(|component| node.file(&path(component)).unwrap()).collect()
}

fn versions(node: &Arc<FakeNode>) -> Vec<bool> {
    manifests(node)[1..].iter().map(|manifest| manifest.contains(NEW) && !manifest.contains(OLD)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_and_a_run_does_one_component_after_another() {
    let node = node_of(OLD).await;
    let before = manifests(&node);
    let (planned, told) = upgrade(&node, None, true).await;
    assert_eq!((planned.unwrap(), manifests(&node)), (3, before.clone()));
    insta::assert_snapshot!(told);
    let (done, _) = upgrade(&node, None, false).await;
    assert_eq!((done.unwrap(), versions(&node)), (3, vec![true; 3]));
    assert_eq!(manifests(&node)[0], before[0], "etcd is left alone");
    assert_eq!(
        node.file("/var/lib/roost/snapshots/before-v1.36.3-n1-20270115T080000Z.db").as_deref(),
        Some("snapshot")
    );
    assert_eq!(upgrade(&node, None, false).await.0.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn cut_short_at_any_change_it_goes_on_when_run_again() {
    for broken in [None, Some(("kube-apiserver", NEW)), Some(("kube-scheduler", NEW))] {
        for cut in 0.. {
            let node = node_of(OLD).await;
            let before = manifests(&node);
            node.fail_after(cut);
            let (first, _) = upgrade(&node, broken, false).await;
            if node.failure_is_ahead() {
                assert!(cut > 5, "the failure was injected into every change");
                break;
            }
            let by_itself = |error| matches!(error, &upgrade::Error::RolledBack { .. } | &upgrade::Error::Stuck { .. });
            assert!(
                first.as_ref().is_err_and(|error| !by_itself(error)),
                "the failure of change {cut} was passed over"
            );
            let (second, told) = upgrade(&node, broken, false).await;
            match broken {
                None => assert_eq!((second.is_ok(), versions(&node)), (true, vec![true; 3]), "cut at {cut}: {told}"),
                Some((name, _)) => {
                    assert!(
                        matches!(second, Err(upgrade::Error::RolledBack { component, .. }) if component.name() == name),
                        "{told}"
                    );
                    assert_eq!(manifests(&node), before, "cut at {cut}: {told}");
                }
            }
            assert!(!is_under_way(&ports(&node, broken), Purpose::Version).unwrap(), "copies are left after cut {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_answers_is_given_up_after_its_time() {
    let node = node_of(OLD).await;
    let before = manifests(&node);
    let mut ports = ports(&node, None);
    // The pod runs, but does not answer: neither forward nor back.
    ports.checks = Arc::new(FakeChecks::default());
    let record = Record::default();
    let snapshots = Snapshots(node.clone());
    let change = ControlPlaneChange {
        etcd_files: &snapshots,
        timeout: Duration::from_secs(10),
        dry_run: false,
        purpose: Purpose::Version,
        turn: None,
    };
    let outcome = upgrade_control_plane(&ports, &spec(NEW), &change, &record).await;
    assert!(
        matches!(&outcome, Err(upgrade::Error::Stuck { component: Component::Etcd, why, .. }) if why.contains("10 s")),
        "{outcome:?}"
    );
    assert_eq!(manifests(&node), before, "nothing is changed while etcd is unhealthy");
}

#[tokio::test(start_paused = true)]
async fn other_runs_leave_the_version() {
    let node = node_of(OLD).await;
    let mut newer = spec(NEW);
    keep_running(&ports(&node, None), &mut newer).unwrap();
    assert_eq!(newer, spec(OLD));
}
