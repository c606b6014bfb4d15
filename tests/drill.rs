//! A restore drill on an in-memory node: what it reports about a snapshot, and that nothing of it is left.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::path::Path;
use std::sync::Arc;

use roost::bootstrap::Ports;
use roost::bootstrap::etcd::{self, drill, last_drill};
use roost::core::bootstrap::drill::DrillResult;
use roost::core::bootstrap::snapshots::ClusterIdentity;
use roost::fakes::Record;
use roost::fakes::members::{FakeEtcd, FakeEtcdClients};
use roost::fakes::node::FakeNode;
use roost::ports::bootstrap::{EtcdFileError, EtcdFiles, NodeFiles, Units};
use shared::{ports_of, spec_of};

const RESULT: &str = "/var/lib/roost/snapshots/drill-n1.json";
const SNAPSHOTS: [&str; 2] = ["20270101T000000Z", "20270102T000000Z"];

struct Snapshots {
    whole: bool,
}

impl EtcdFiles for Snapshots {
    fn check_snapshot(&self, path: &Path) -> Result<u64, EtcdFileError> {
        if self.whole { Ok(4096) } else { Err(EtcdFileError::Broken { path: path.to_owned() }) }
    }
    fn rename(&self, _from: &Path, _to: &Path) -> Result<(), EtcdFileError> {
        Ok(())
    }
}

async fn node(snapshots: &[&str]) -> Arc<FakeNode> {
    let node = FakeNode::new();
    for stamp in snapshots {
        let path = format!("/var/lib/roost/snapshots/etcd-n1-{stamp}.db");
        node.write(path.as_ref(), b"(data)", 0o600).unwrap();
    }
    for name in ["ca.crt", "healthcheck-client.crt", "healthcheck-client.key"] {
        node.write(&Path::new("/etc/kubernetes/pki/etcd").join(name), b"(pem)", 0o600).unwrap();
    }
    node.start("kubelet.service").await.unwrap();
    node
}

/// Holds a drill on a node; in its etcd are so many keys.
async fn hold(node: &Arc<FakeNode>, whole: bool, keys: i64) -> Result<DrillResult, etcd::Error> {
    let spec = spec_of("n1", "10.0.0.1", &[]);
    let etcd = Arc::<FakeEtcd>::default();
    *etcd.keys.lock().unwrap() = keys;
    let ports = Ports { etcd: Arc::new(FakeEtcdClients(etcd)), ..ports_of(node) };
    let result = drill(&ports, &Snapshots { whole }, &spec, None, 4001, &Record::default()).await?;
    assert_eq!(last_drill(&ports, &spec, &ClusterIdentity::default())?.as_ref(), Some(&result), "the status tells it");
    assert_eq!(node.file("/etc/kubernetes/manifests/etcd-drill.yaml"), None, "nothing of it is left");
    Ok(result)
}

#[tokio::test(start_paused = true)]
async fn the_newest_snapshot_is_read_whole() {
    let node = node(&SNAPSHOTS).await;
    let result = hold(&node, true, 99).await.unwrap();
    assert_eq!(result.snapshot, Some("/var/lib/roost/snapshots/etcd-n1-20270102T000000Z.db".into()));
    let contents = result.contents.unwrap();
    assert_eq!((contents.size, contents.keys, contents.revision), (4096, 99, 42));
    assert_eq!(result.fault, None);
}

#[tokio::test(start_paused = true)]
async fn what_would_bring_no_cluster_back_is_told() {
    let fault =
        async |snapshots: &[&str], whole, keys| hold(&node(snapshots).await, whole, keys).await.unwrap().fault.unwrap();
    let cut = fault(&SNAPSHOTS, false, 99).await;
    assert!(cut.contains("20270102T000000Z.db is not a complete etcd snapshot"), "{cut}");
    let none = fault(&[], true, 99).await;
    assert!(none.contains("this node has no snapshot in /var/lib/roost/snapshots"), "{none}");
    let strange = fault(&SNAPSHOTS, true, 0).await;
    assert!(strange.contains("but not the key /registry/namespaces/kube-system"), "{strange}");
}

#[tokio::test(start_paused = true)]
async fn a_drill_that_was_cut_short_anywhere_leaves_nothing_to_the_next_one() {
    for changes in 0.. {
        let node = node(&SNAPSHOTS).await;
        node.fail_after(changes);
        let cut = hold(&node, true, 99).await;
        if node.failure_is_ahead() {
            assert!(changes > 3, "the drill changes files");
            return;
        }
        assert!(cut.is_err());
        assert_eq!(hold(&node, true, 99).await.unwrap().fault, None, "after {changes} changes");
        assert!(node.file(RESULT).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_kubelet_nothing_is_said_about_the_snapshot() {
    let node = node(&SNAPSHOTS).await;
    node.stop("kubelet.service").await.unwrap();
    assert!(matches!(hold(&node, true, 99).await, Err(etcd::Error::NoKubelet)));
    assert_eq!(node.file(RESULT), None);
}
