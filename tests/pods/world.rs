//! One pod on one host, with the API server's part in it, and a kubelet that is restarted when it dies.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use roost::adapters::standalone::NoObjects;
use roost::core::model::{DesiredPod, DesiredSet, PodSource, SourceKind};
use roost::core::render::NodeContext;
use roost::fakes::pods::{Life, PodHost, wall};
use roost::kubelet::pods::PodControl;
use roost::kubelet::pods::{Instruments, PodPorts, Settings, start};
use roost::telemetry::Metrics;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How often a waiting test checks, and after how many checks it gives up: half an hour of the paused clock.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: usize = 30 * 60 * 20;

/// A pod with these `initContainers` and `containers`.
pub fn pod(inits: &[Value], containers: &[Value]) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": "town", "uid": "u1", "generation": 1},
        "spec": {"initContainers": inits, "containers": containers, "terminationGracePeriodSeconds": 10}
    }))
    .unwrap()
}

/// A container of that name that runs until it is stopped.
pub fn container(name: &str) -> Value {
    json!({"name": name, "image": "v1"})
}

/// A restartable init container.
pub fn sidecar(name: &str) -> Value {
    json!({"name": name, "image": "v1", "restartPolicy": "Always"})
}

struct Kubelet {
    life: Arc<Life>,
    desired: mpsc::Sender<DesiredSet>,
    control: Arc<dyn PodControl>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

pub struct World {
    pub host: Arc<PodHost>,
    /// Number of kubelets so far.
    pub kubelets: u32,
    /// As in the API, except for the status; `None` once it is deleted.
    pod: Option<Pod>,
    /// Other pods of the API, and static pods; they do not change.
    others: Vec<Pod>,
    statics: Vec<Pod>,
    kubelet: Kubelet,
}

impl World {
    /// A kubelet that is to run the pod on that host.
    pub async fn new(host: Arc<PodHost>, pod: Pod) -> Self {
        Self::with(host, pod, Vec::new(), Vec::new()).await
    }

    /// The same together with other pods, of the API and of manifests.
    pub async fn with(host: Arc<PodHost>, pod: Pod, others: Vec<Pod>, statics: Vec<Pod>) -> Self {
        let kubelet = Kubelet::start(&host);
        let world = Self { host, kubelets: 1, pod: Some(pod), others, statics, kubelet };
        world.tell().await;
        world
    }

    /// The API server's watch reports the pod in its current state.
    async fn tell(&self) {
        let pods = self.pod.clone().map(|pod| Pod { status: self.host.status(), ..pod });
        let pods = pods.into_iter().chain(self.others.iter().cloned());
        let pods = pods.map(|pod| DesiredPod { pod: Arc::new(pod), source: PodSource::Api });
        let set = DesiredSet { source: SourceKind::Api, pods: pods.collect() };
        if !self.statics.is_empty() {
            let pods = self.statics.iter().cloned();
            let pods = pods.map(|pod| DesiredPod { pod: Arc::new(pod), source: PodSource::File("/m/web.yaml".into()) });
            let set = DesiredSet { source: SourceKind::File, pods: pods.collect() };
            let _ = self.kubelet.desired.send(set).await;
        }
        // A kubelet that died receives nothing; the next one gets it again.
        let _ = self.kubelet.desired.send(set).await;
    }

    /// The disk is full: containers of finished pods are to be removed.
    pub async fn remove_dead(&self) {
        self.kubelet.control.remove_dead().await;
    }

    /// The manifests are removed and immediately written again.
    pub async fn rewrite_manifests(&self) {
        let none = DesiredSet { source: SourceKind::File, pods: Vec::new() };
        let _ = self.kubelet.desired.send(none).await;
        self.tell().await;
    }

    /// The manifests are removed permanently.
    pub async fn drop_manifests(&mut self) {
        self.statics.clear();
        let none = DesiredSet { source: SourceKind::File, pods: Vec::new() };
        let _ = self.kubelet.desired.send(none).await;
    }

    /// Changes the pod at the API server.
    pub async fn change(&mut self, change: impl FnOnce(&mut Pod)) {
        let pod = self.pod.as_mut().unwrap();
        change(pod);
        *pod.metadata.generation.get_or_insert_default() += 1;
        self.tell().await;
    }

    /// Gives a regular container another image.
    pub async fn set_image(&mut self, name: &str, image: &str) {
        let of = |c: &&mut Container| c.name == name;
        self.change(|pod| {
            let containers = &mut pod.spec.as_mut().unwrap().containers;
            containers.iter_mut().find(of).unwrap().image = Some(image.to_owned());
        })
        .await;
    }

    /// `kubectl delete`.
    pub async fn delete(&mut self, grace: i64) {
        self.change(|pod| {
            pod.metadata.deletion_timestamp = Some(Time(wall()));
            pod.metadata.deletion_grace_period_seconds = Some(grace);
        })
        .await;
    }

    /// The pod is removed from the API, as after a forced deletion.
    pub async fn force_delete(&mut self) {
        self.pod = None;
        self.tell().await;
    }

    /// The manifests are replaced by these.
    pub fn set_statics(&mut self, statics: Vec<Pod>) {
        self.statics = statics;
    }

    /// Metrics of the current kubelet.
    pub fn metrics(&self) -> &Metrics {
        &self.kubelet.metrics
    }

    /// `kill -9` of the kubelet.
    pub fn kill_kubelet(&self) {
        self.kubelet.life.die();
    }

    /// What happens besides the kubelet: systemd restarts it, the API server deletes a finished pod.
    async fn go_on(&mut self) {
        tokio::time::sleep(LOOK).await;
        if self.kubelet.life.is_dead() {
            self.kubelet.stop.cancel();
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.kubelet = Kubelet::start(&self.host);
            self.kubelets += 1;
            self.tell().await;
        }
        let deleted = self.pod.as_ref().is_some_and(|pod| pod.metadata.deletion_timestamp.is_some());
        if deleted && self.host.reported().finished {
            self.pod = None;
            self.tell().await;
        }
    }

    /// Waits until the condition is true.
    pub async fn until(&mut self, what: &str, so: impl Fn(&PodHost) -> bool) {
        for _ in 0..LOOKS {
            if so(&self.host) {
                return;
            }
            self.go_on().await;
        }
        let calls = self.host.calls();
        let calls = &calls[calls.len().saturating_sub(30)..];
        let containers = self.host.status().and_then(|status| status.container_statuses);
        panic!("never: {what}\n{:?}\n{:?}\n{containers:?}\n{calls:#?}", self.host.records(), self.host.leftovers());
    }

    /// Waits until a container of that name runs whose restart count is at least that.
    pub async fn runs(&mut self, name: &str, attempt: u32) {
        let so = |host: &PodHost| host.running(name).is_some_and(|record| record.attempt >= attempt);
        self.until(&format!("{name}#{attempt} runs"), so).await;
    }

    /// Waits until the pod is completely gone.
    pub async fn is_gone(&mut self) {
        self.until("nothing is left", |host| host.leftovers().is_empty()).await;
    }

    /// Lets some time pass without waiting for a condition.
    pub async fn rest(&mut self, seconds: u32) {
        for _ in 0..seconds * 20 {
            self.go_on().await;
        }
    }
}

impl Kubelet {
    fn start(host: &Arc<PodHost>) -> Self {
        let (life, metrics) = (host.live(), Arc::new(Metrics::default()));
        let context =
            NodeContext { host_ips: vec!["192.0.2.1".parse().unwrap()], ..NodeContext::defaults(Path::new("/k")) };
        let ports = PodPorts {
            runtime: life.clone(),
            images: life.clone(),
            volumes: life.clone(),
            cgroups: life.clone(),
            objects: Arc::new(NoObjects::default()),
            user_namespaces: life.clone(),
            files: life.clone(),
            names: life.clone(),
            probes: life.clone(),
            hooks: life.clone(),
            admission: life.clone(),
            events: life.clone(),
            statuses: life.clone(),
            node: watch::channel(Arc::new(context)).1,
            instruments: Instruments { metrics: Arc::clone(&metrics), wall },
        };
        let settings = Settings {
            sources: vec![SourceKind::Api],
            resync: Duration::from_secs(60),
            max_restart_backoff: Duration::from_secs(300),
        };
        let (desired, incoming) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let control = start(ports, settings, incoming, stop.clone()).control;
        Self { life, desired, control, metrics, stop }
    }
}
