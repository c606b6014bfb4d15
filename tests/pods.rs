//! The pod table on a real containerd. Runs on a node of the test cluster, as root:
//! `cargo test --features containerd-tests,fakes --test pods -- --test-threads 1`.
#![cfg(all(feature = "containerd-tests", feature = "fakes"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, PodStatus, Secret, Service};
use k8s_openapi::api::node::v1::RuntimeClass;
use roost::adapters::checks::NetChecks;
use roost::adapters::cri::Cri;
use roost::adapters::fake::FakeEvents;
use roost::adapters::fs::pod_files::LocalPodFiles;
use roost::adapters::volumes::LocalVolumes;
use roost::core::model::{DesiredPod, DesiredSet, PodSource, PodUid, SourceKind, Verdict, uid_of};
use roost::core::render::NodeContext;
use roost::kubelet::hooks::HookRunner;
use roost::kubelet::probes::{ProbePorts, Prober};
use roost::kubelet::run::{PodPorts, PodTable, Settings, start};
use roost::ports::*;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Pods here share the node's user namespace.
struct NoUserNamespaces;

#[async_trait]
impl UserNamespaces for NoUserNamespaces {
    async fn ensure(&self, _: &PodUid) -> std::io::Result<roost::cri::UserNamespace> {
        Err(std::io::Error::other("no pod of these tests has a user namespace"))
    }
}

/// A cluster that has nothing.
struct NoObjects(broadcast::Sender<ObjectChange>);

fn none<T>(kind: &'static str, name: &str) -> Result<T, ObjectError> {
    Err(ObjectError::NotFound { kind, name: name.into() })
}

#[async_trait]
impl Objects for NoObjects {
    fn register(&self, _: &Pod) {}
    fn unregister(&self, _: &Pod) {}
    async fn config_map(&self, _: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        none("configmap", name)
    }
    async fn secret(&self, _: &str, name: &str) -> Result<Arc<Secret>, ObjectError> {
        none("secret", name)
    }
    async fn services(&self, _: &str) -> Result<Vec<Arc<Service>>, ObjectError> {
        Ok(Vec::new())
    }
    async fn runtime_class(&self, name: &str) -> Result<Arc<RuntimeClass>, ObjectError> {
        none("runtimeclass", name)
    }
    async fn claim(&self, _: &str, name: &str) -> Result<Arc<PersistentVolumeClaim>, ObjectError> {
        none("persistentvolumeclaim", name)
    }
    async fn volume(&self, name: &str) -> Result<Arc<PersistentVolume>, ObjectError> {
        none("persistentvolume", name)
    }
    async fn token(&self, _: &Pod, _: &TokenRequest) -> Result<(String, Timestamp), ObjectError> {
        none("serviceaccount", "default")
    }
    fn changes(&self) -> broadcast::Receiver<ObjectChange> {
        self.0.subscribe()
    }
}

/// Images that are on the node.
struct Present(Arc<dyn ImageService>);

#[async_trait]
impl PodImages for Present {
    async fn ensure(
        &self,
        _: &Arc<Pod>,
        demand: &ImageDemand,
        _: Option<&roost::cri::PodSandboxConfig>,
    ) -> Result<PulledImage, ImageWaiting> {
        let spec = roost::cri::ImageSpec { image: demand.image.clone(), ..Default::default() };
        match self.0.image_status(&spec).await {
            Ok(Some(image)) => {
                Ok(PulledImage { spec: roost::cri::ImageSpec { image: image.id.clone(), ..spec }, image })
            }
            other => {
                Err(ImageWaiting { reason: "ErrImageNeverPull".into(), message: format!("{other:?}"), retry_at: None })
            }
        }
    }
    fn forget(&self, _: &PodUid) {}
}

struct NoCgroups;

#[async_trait]
impl Cgroups for NoCgroups {
    async fn ensure(&self, _: &Pod) -> Result<PodCgroup, CgroupError> {
        Ok(PodCgroup { parent: "roost-test.slice".into() })
    }
    async fn exists(&self, _: &Pod) -> bool {
        true
    }
    async fn remove(&self, _: &PodUid) -> Result<(), CgroupError> {
        Ok(())
    }
    async fn known_pods(&self) -> Vec<PodUid> {
        Vec::new()
    }
}

struct AdmitAll;

impl Admission for AdmitAll {
    fn admit(&self, _: &Arc<Pod>, _: bool, _: &[Arc<Pod>]) -> Verdict {
        Verdict::Admit
    }
}

#[derive(Default)]
struct Statuses {
    last: Mutex<BTreeMap<PodUid, Arc<PodStatus>>>,
    finished: Mutex<Vec<PodUid>>,
    forgotten: Mutex<Vec<PodUid>>,
}

impl StatusSink for Statuses {
    fn publish(&self, pod: &Arc<Pod>, _: bool, status: &Arc<PodStatus>) {
        if std::env::var("VERBOSE").is_ok() {
            println!("{} {}", Timestamp::now(), serde_json::to_string(status).unwrap());
        }
        self.last.lock().unwrap().insert(uid_of(pod), Arc::clone(status));
    }
    fn finished(&self, pod: &Arc<Pod>, _: bool) {
        self.finished.lock().unwrap().push(uid_of(pod));
    }
    fn forget(&self, uid: &PodUid) {
        self.forgotten.lock().unwrap().push(uid.clone());
    }
}

struct Node {
    table: PodTable,
    statuses: Arc<Statuses>,
    events: Arc<FakeEvents>,
    runtime: Arc<dyn Runtime>,
    sets: mpsc::Sender<DesiredSet>,
    stop: CancellationToken,
}

impl Node {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let root = Path::new("/var/lib/roost-pods-test");
        let cri = Cri::new(Path::new("/run/containerd/containerd.sock"), Duration::from_secs(120));
        let runtime: Arc<dyn Runtime> = Arc::new(cri.clone());
        let mut node = NodeContext::defaults(root);
        node.pod_logs_dir = "/var/log/roost-pods-test".into();
        node.host_ips = vec!["192.0.2.1".parse().unwrap()];
        node.cgroup_v2 = false;
        let (_, node) = watch::channel(Arc::new(node));
        let objects: Arc<dyn Objects> = Arc::new(NoObjects(broadcast::channel(8).0));
        let events = Arc::new(FakeEvents::default());
        let checks = Arc::new(NetChecks::new().unwrap());
        let stop = CancellationToken::new();
        let probe_ports = ProbePorts {
            runtime: Arc::clone(&runtime),
            checks: checks.clone(),
            events: events.clone(),
            wall: Timestamp::now,
        };
        let statuses = Arc::new(Statuses::default());
        LocalVolumes::prepare_root(root).unwrap();
        let ports = PodPorts {
            runtime: Arc::clone(&runtime),
            images: Arc::new(Present(Arc::new(cri))),
            volumes: Arc::new(LocalVolumes::new(Arc::clone(&objects), node.clone())),
            cgroups: Arc::new(NoCgroups),
            objects,
            files: Arc::new(LocalPodFiles::new(root, Path::new("/var/log/roost-pods-test"))),
            probes: Arc::new(Prober::start(probe_ports, stop.clone())),
            hooks: Arc::new(HookRunner { runtime: Arc::clone(&runtime), checks, events: events.clone() }),
            admission: Arc::new(AdmitAll),
            events: events.clone(),
            statuses: statuses.clone(),
            user_namespaces: Arc::new(NoUserNamespaces),
            node,
        };
        let settings = Settings {
            sources: vec![SourceKind::Api],
            resync: Duration::from_secs(60),
            max_restart_backoff: Duration::from_secs(300),
        };
        let (sets, desired) = mpsc::channel(8);
        let table = start(ports, settings, desired, stop.clone());
        Self { table, statuses, events, runtime, sets, stop }
    }

    async fn want(&self, pods: &[&Arc<Pod>]) {
        let pods = pods.iter().map(|p| DesiredPod { pod: Arc::clone(p), source: PodSource::Api }).collect();
        self.sets.send(DesiredSet { source: SourceKind::Api, pods }).await.unwrap();
    }

    fn status(&self, pod: &Arc<Pod>) -> Option<Arc<PodStatus>> {
        self.statuses.last.lock().unwrap().get(&uid_of(pod)).cloned()
    }

    async fn until(&self, what: &str, pod: &Arc<Pod>, test: impl Fn(&PodStatus) -> bool) -> Duration {
        let begin = Instant::now();
        loop {
            let status = self.status(pod);
            if status.as_ref().is_some_and(|s| test(s)) {
                println!("{what}: {:?}", begin.elapsed());
                return begin.elapsed();
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{what}: {status:#?} {:?}", self.events.take());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn gone(&self, pod: &Arc<Pod>) {
        let begin = Instant::now();
        while !self.statuses.finished.lock().unwrap().contains(&uid_of(pod)) {
            assert!(begin.elapsed() < Duration::from_secs(60), "not finished: {:?}", self.status(pod));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("finished: {:?}", begin.elapsed());
        self.want(&[]).await;
        while self.table.pods.by_uid(&uid_of(pod)).is_some() {
            assert!(begin.elapsed() < Duration::from_secs(60), "not gone");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("gone: {:?}", begin.elapsed());
        assert!(self.runtime.list_sandboxes(Some(&uid_of(pod))).await.unwrap().is_empty());
        assert!(self.runtime.list_containers(Some(&uid_of(pod))).await.unwrap().is_empty());
    }
}

fn pod(name: &str, spec: Value) -> Arc<Pod> {
    let mut spec = spec;
    spec["terminationGracePeriodSeconds"] = json!(5);
    if std::env::var("POD_NETWORK").is_err() {
        spec["hostNetwork"] = json!(true);
    }
    let uid = format!("{name}-{}", Timestamp::now().as_millisecond());
    let meta = json!({"name": name, "namespace": "default", "uid": uid, "generation": 1});
    Arc::new(serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap())
}

fn shell(name: &str, script: &str) -> Value {
    json!({
        "name": name, "image": "registry.k8s.io/e2e-test-images/busybox:1.37.0-1",
        "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]
    })
}

const WAIT: &str = "trap 'exit 0' TERM; while true; do sleep 0.05; done";

fn deleted(pod: &Arc<Pod>) -> Arc<Pod> {
    let mut pod = (**pod).clone();
    pod.metadata.deletion_timestamp = serde_json::from_value(json!(Timestamp::now().to_string())).unwrap();
    pod.metadata.deletion_grace_period_seconds = Some(5);
    Arc::new(pod)
}

fn ready(status: &PodStatus) -> bool {
    status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}

fn restarts(status: &PodStatus) -> i32 {
    status.container_statuses.iter().flatten().map(|s| s.restart_count).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_runs_restarts_survives_the_kubelet_and_goes() {
    let node = Node::new();
    let p = pod("plain", json!({"containers": [shell("a", WAIT)], "volumes": [{"name": "e", "emptyDir": {}}]}));
    node.want(&[&p]).await;
    node.until("created to ready", &p, ready).await;
    assert_eq!(node.status(&p).unwrap().phase.as_deref(), Some("Running"));
    let view = node.table.pods.by_uid(&uid_of(&p)).unwrap();
    node.runtime.stop_container(&view.containers[0].id, Duration::from_secs(1)).await.unwrap();
    node.until("restarted", &p, |s| restarts(s) == 1 && ready(s)).await;
    println!("{:#?}", node.events.take());

    // Another kubelet takes over.
    let mut known = (*p).clone();
    known.status = Some((*node.status(&p).unwrap()).clone());
    node.stop.cancel();
    drop(node);
    let node = Node::new();
    let p = Arc::new(known);
    node.want(&[&p]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let view = node.table.pods.by_uid(&uid_of(&p)).unwrap();
    assert_eq!(restarts(&view.status), 1);
    assert_eq!(view.containers.len(), 2);

    let gone = deleted(&p);
    node.want(&[&gone]).await;
    node.gone(&gone).await;
    println!("{:#?}", node.events.take());
    let status = node.status(&gone).unwrap();
    println!("{}", serde_json::to_string_pretty(&*status).unwrap());
    assert_eq!(status.phase.as_deref(), Some("Succeeded"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_containers_and_sidecars_go_in_order_and_a_finished_pod_succeeds() {
    let node = Node::new();
    let mut side = shell("side", WAIT);
    side["restartPolicy"] = json!("Always");
    let p = pod(
        "staged",
        json!({
            "restartPolicy": "Never",
            "initContainers": [shell("i1", "exit 0"), side, shell("i2", "exit 0")],
            "containers": [shell("main", "sleep 0.2; echo done > /dev/termination-log; exit 0")]
        }),
    );
    node.want(&[&p]).await;
    node.until("succeeded", &p, |s| s.phase.as_deref() == Some("Succeeded")).await;
    println!("{:#?}", node.events.take());
    println!("{}", serde_json::to_string_pretty(&*node.status(&p).unwrap()).unwrap());
    let gone = deleted(&p);
    node.want(&[&gone]).await;
    node.gone(&gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashing_container_backs_off() {
    let node = Node::new();
    let p = pod("crash", json!({"containers": [shell("a", "exit 3")]}));
    node.want(&[&p]).await;
    let waits = |s: &PodStatus| {
        let state = s.container_statuses.iter().flatten().next().and_then(|s| s.state.clone());
        state.and_then(|s| s.waiting).and_then(|w| w.reason).as_deref() == Some("CrashLoopBackOff")
    };
    node.until("backs off", &p, waits).await;
    node.until("second restart", &p, |s| restarts(s) == 2).await;
    println!("{:#?}", node.events.take());
    println!("{}", serde_json::to_string_pretty(&*node.status(&p).unwrap()).unwrap());
    let gone = deleted(&p);
    node.want(&[&gone]).await;
    node.gone(&gone).await;
}
