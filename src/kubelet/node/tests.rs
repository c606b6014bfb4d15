//! The reporter of the node's status, with a fake API server and a paused clock.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::status::NodeReporter;
use crate::config::kubelet::{Flags, load};
use crate::core::model::MachineFacts;
use crate::core::node::NodeStartup;
use crate::core::render::NodeContext;
use crate::fakes::FakeImages;
use crate::fakes::pods::PodHost;
use crate::ports::kubelet::{Machine, NodeApi};
use crate::ports::node::ApiError;
use crate::telemetry::Metrics;

/// A Node object that others change as well.
#[derive(Default)]
struct Api {
    node: Mutex<Value>,
    changed: Notify,
}

impl Api {
    fn node(&self) -> Node {
        serde_json::from_value(self.node.lock().unwrap().clone()).unwrap()
    }

    fn merge(&self, patch: &Value) -> Node {
        merge(&mut self.node.lock().unwrap(), patch);
        self.node()
    }
}

/// A simplified merge: maps are merged, lists are replaced.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, Value::Array(items)) => {
            *into = items.iter().filter(|item| item["$patch"].is_null()).cloned().collect();
        }
        (into, patch) => *into = patch.clone(),
    }
}

#[async_trait]
impl NodeApi for Api {
    async fn get(&self) -> Result<Node, ApiError> {
        Ok(self.node())
    }
    async fn create(&self, node: &Node) -> Result<Node, ApiError> {
        *self.node.lock().unwrap() = serde_json::to_value(node).unwrap();
        Ok(self.merge(&json!({"metadata": {"uid": "u"}})))
    }
    async fn patch(&self, patch: &Value) -> Result<Node, ApiError> {
        Ok(self.merge(patch))
    }
    async fn patch_status(&self, patch: &Value) -> Result<Node, ApiError> {
        Ok(self.merge(patch))
    }
    async fn get_lease(&self) -> Result<Lease, ApiError> {
        Ok(Lease::default())
    }
    async fn create_lease(&self, lease: &Lease) -> Result<Lease, ApiError> {
        Ok(lease.clone())
    }
    async fn replace_lease(&self, lease: &Lease) -> Result<Lease, ApiError> {
        Ok(lease.clone())
    }
    async fn changed(&self) {
        self.changed.notified().await;
    }
}

struct Amd64;

#[async_trait]
impl Machine for Amd64 {
    async fn observe(&self, _: Option<&str>) -> MachineFacts {
        MachineFacts { cpus: 2, memory: 1 << 30, arch: "amd64".into(), ..MachineFacts::default() }
    }
}

#[tokio::test(start_paused = true)]
async fn labels_of_what_the_machine_is_are_put_back_while_the_kubelet_runs() {
    let api = Arc::new(Api::default());
    let life = PodHost::new().live();
    let spec = load(&Flags { node_name: "n1".into(), node_ip: "192.0.2.1".into(), ..Flags::default() }).unwrap();
    let metrics = Arc::new(Metrics::default());
    let mut reporter = NodeReporter {
        spec: Arc::new(spec),
        api: Some(Arc::<Api>::clone(&api)),
        runtime: Arc::clone(&life) as Arc<_>,
        images: Arc::<FakeImages>::default(),
        machine: Arc::new(Amd64),
        events: life,
        pressure: watch::channel(Default::default()).1,
        volumes_in_use: watch::channel(BTreeSet::new()).1,
        shutting_down: watch::channel(false).1,
        node: watch::channel(Arc::default()).0,
        node_uid: watch::channel(None).0,
        context: watch::channel(Arc::new(NodeContext::defaults(std::path::Path::new("/k")))).0,
        startup: NodeStartup::new(Timestamp::from_second(1).ok(), Timestamp::now()),
        metrics: metrics.clone(),
    };
    let stop = CancellationToken::new();
    let work = {
        let stop = stop.clone();
        tokio::spawn(async move { reporter.run(stop).await })
    };
    let labels = || api.node().metadata.labels.unwrap_or_default();
    let reads = async |key: &str, value: &str| {
        for _ in 0..10_000 {
            if labels().get(key).is_some_and(|label| label == value) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{key} is never {value}: {:?}", labels());
    };
    *api.node.lock().unwrap() = json!({});
    reads("kubernetes.io/arch", "amd64").await;
    api.merge(
        &json!({"metadata": {"labels": {"kubernetes.io/arch": "risc", "kubernetes.io/os": "plan9", "own": "x"}}}),
    );
    api.changed.notify_one();
    reads("kubernetes.io/arch", "amd64").await;
    reads("kubernetes.io/os", "linux").await;
    reads("own", "x").await;
    assert!(metrics.startup_pre_kubelet.with([]).get() > 0.0, "the node is new");
    stop.cancel();
    work.await.unwrap();
}
