//! The parts that only some kubelets have, or that are a few lines each.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Error;
use crate::adapters::apiserver::objects::ReferencedObjects;
use crate::adapters::apiserver::pods::{ApiPods, NodePods};
use crate::adapters::apiserver::reviews::SessionReviews;
use crate::adapters::apiserver::session::Session;
use crate::adapters::cri::Cri;
use crate::adapters::fs::atomic::write_if_changed;
use crate::adapters::fs::node_context;
use crate::adapters::standalone::LogEvents;
use crate::core::model::{DesiredSet, KubeletSpec, PodUid, SourceKind};
use crate::core::render::NodeContext;
use crate::kubelet::api_pods::ApiPodView;
use crate::kubelet::logs::{RotationSettings, rotate_logs};
use crate::kubelet::mirrors::Mirrors;
use crate::kubelet::report::Reporter;
use crate::kubelet::run::PodTable;
use crate::kubelet::sources::api::ApiSource;
use crate::ports::{self, Runtime, StatusSink};

/// Where `bootstrap status` looks for what this kubelet runs.
const LOCAL_STATUS: &str = "/run/roost/pods.json";

/// Everything that needs an API server.
pub struct Api {
    session: Session,
    view: Arc<ApiPodView>,
    pub objects: Arc<dyn ports::Objects>,
    pub events: Arc<dyn ports::Events>,
    pub reporter: Reporter,
    pub node: watch::Receiver<Arc<Node>>,
    node_sender: watch::Sender<Arc<Node>>,
    reporting: JoinHandle<()>,
    stop_reporting: CancellationToken,
}

impl Api {
    /// Makes the session; the server itself need not answer yet.
    pub async fn connect(spec: &KubeletSpec, path: &Path, stop: CancellationToken) -> Result<Self, Error> {
        let session = Session::open(path)
            .await
            .map_err(|source| Error::Kubeconfig { path: path.to_path_buf(), source: source.into() })?;
        tokio::spawn(session.clone().follow_files(stop));
        let view = Arc::new(ApiPodView::default());
        let reporter = Reporter::new(Arc::new(ApiPods::new(&session)), Arc::clone(&view));
        let stop_reporting = CancellationToken::new();
        let reporting = tokio::spawn(reporter.clone().run(stop_reporting.clone(), Duration::from_secs(2)));
        let (node_sender, node) = watch::channel(standalone_node(spec).borrow().clone());
        Ok(Self {
            objects: Arc::new(ReferencedObjects::new(&session)),
            events: Arc::new(LogEvents),
            session,
            view,
            reporter,
            node,
            node_sender,
            reporting,
            stop_reporting,
        })
    }

    /// Starts the API source and the mirror pods.
    pub fn start_pods(
        &self,
        spec: &KubeletSpec,
        desired: mpsc::Sender<DesiredSet>,
        statics: watch::Receiver<Option<Vec<Arc<Pod>>>>,
        table: &PodTable,
        stop: CancellationToken,
    ) {
        let watch_ = Box::new(NodePods::new(&self.session, &spec.node_name));
        let source = ApiSource { watch: watch_, view: Arc::clone(&self.view), desired };
        tokio::spawn(source.run(stop.clone()));
        let mut node = self.node.clone();
        let (uid, node_uid) = watch::channel(None);
        let ended = stop.clone();
        tokio::spawn(async move {
            loop {
                uid.send_replace(node.borrow_and_update().metadata.uid.clone());
                tokio::select! {
                    () = ended.cancelled() => return,
                    changed = node.changed() => if changed.is_err() { return },
                }
            }
        });
        let mirrors = Mirrors {
            api: Arc::new(ApiPods::new(&self.session)),
            view: Arc::clone(&self.view),
            statics,
            pods: Arc::clone(&table.pods),
            node_name: spec.node_name.clone(),
            node_uid,
        };
        tokio::spawn(mirrors.run(stop));
    }

    /// Starts registration, node status and lease.
    pub fn start(
        &self,
        _spec: &Arc<KubeletSpec>,
        _table: &PodTable,
        _runtime: &Arc<dyn Runtime>,
        _cri: &Arc<Cri>,
        _context: watch::Sender<Arc<NodeContext>>,
        _stop: CancellationToken,
    ) {
        let _ = &self.node_sender;
    }

    /// Sends what is still to be sent, for a moment.
    pub async fn flush(self, limit: Duration) {
        self.stop_reporting.cancel();
        if tokio::time::timeout(limit, self.reporting).await.is_err() {
            warn!("some pod statuses were not sent before the end");
        }
    }

    /// Reviews for the server.
    pub fn reviews(&self) -> Arc<dyn ports::Reviews> {
        Arc::new(SessionReviews::new(self.session.clone()))
    }
}

/// Statuses of a standalone kubelet go nowhere but the local file.
pub struct NoStatuses;

impl StatusSink for NoStatuses {
    fn publish(&self, _: &Arc<Pod>, _: bool, _: &Arc<PodStatus>) {}
    fn finished(&self, _: &Arc<Pod>, _: bool) {}
    fn forget(&self, _: &PodUid) {}
}

/// The node as a kubelet without API server sees it: all of the machine.
pub fn standalone_node(spec: &KubeletSpec) -> watch::Receiver<Arc<Node>> {
    let memory = node_context::read(&spec.dirs, &spec.pods).memory_capacity;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let amounts = [
        ("cpu", cpus.to_string()),
        ("memory", memory.to_string()),
        ("pods", spec.node.max_pods.to_string()),
        ("ephemeral-storage", i64::MAX.to_string()),
    ];
    let all: BTreeMap<_, _> = amounts.into_iter().map(|(name, amount)| (name.to_owned(), Quantity(amount))).collect();
    let mut node = Node::default();
    node.metadata.name = Some(spec.node_name.clone());
    node.metadata.labels = Some(spec.node.labels.clone());
    node.status = Some(NodeStatus { capacity: Some(all.clone()), allocatable: Some(all), ..NodeStatus::default() });
    watch::channel(Arc::new(node)).1
}

/// A sender that notes the static pods on their way to the table, for the mirrors.
pub fn tap_statics(
    desired: mpsc::Sender<DesiredSet>,
    statics: watch::Sender<Option<Vec<Arc<Pod>>>>,
    stop: CancellationToken,
) -> mpsc::Sender<DesiredSet> {
    let (sender, mut receiver) = mpsc::channel::<DesiredSet>(4);
    tokio::spawn(async move {
        loop {
            let set = tokio::select! {
                () = stop.cancelled() => return,
                set = receiver.recv() => set,
            };
            let Some(set) = set else { return };
            if set.source == SourceKind::File {
                statics.send_replace(Some(set.pods.iter().map(|pod| Arc::clone(&pod.pod)).collect()));
            }
            if desired.send(set).await.is_err() {
                return;
            }
        }
    });
    sender
}

/// The address that packets to other networks leave from. Connecting a UDP socket sends nothing.
pub fn default_address() -> Vec<IpAddr> {
    let address = UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| {
        socket.connect(("192.0.2.1", 9))?;
        socket.local_addr()
    });
    address.map(|a| a.ip()).into_iter().filter(|ip| !ip.is_unspecified() && !ip.is_loopback()).collect()
}

/// Keeps container logs at their size.
pub fn start_log_rotation(spec: &KubeletSpec, table: &PodTable, runtime: &Arc<dyn Runtime>, stop: CancellationToken) {
    let settings = RotationSettings {
        max_size: parse_size(&spec.logs.max_size),
        max_files: spec.logs.max_files,
        interval: spec.logs.interval,
    };
    tokio::spawn(rotate_logs(settings, Arc::clone(&table.pods), Arc::clone(runtime), stop));
}

fn parse_size(text: &str) -> u64 {
    let amount = crate::core::model::Amount::parse(text).map(|a| a.units());
    amount.and_then(|units| u64::try_from(units).ok()).unwrap_or(10 << 20)
}

/// Keeps a file with the pods and their statuses, for `bootstrap status` on a node without an API server.
pub fn keep_local_status(table: &PodTable, stop: CancellationToken) {
    let pods = Arc::clone(&table.pods);
    let path = PathBuf::from(LOCAL_STATUS);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(2));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let list: Vec<serde_json::Value> = pods
                .list()
                .iter()
                .map(|view| {
                    serde_json::json!({
                        "namespace": view.pod.metadata.namespace,
                        "name": view.pod.metadata.name,
                        "uid": view.pod.metadata.uid,
                        "static": view.is_static,
                        "status": *view.status,
                        "lastError": view.last_error,
                    })
                })
                .collect();
            let text = serde_json::json!({ "pods": list }).to_string();
            let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            if let Err(error) = written.and_then(|()| write_if_changed(&path, text.as_bytes(), 0o644)) {
                warn!(%error, path = LOCAL_STATUS, "local status cannot be written");
            }
        }
    });
}

/// Tells systemd that the kubelet is ready, and feeds its watchdog while the runtime's tasks turn.
pub fn notify_systemd(stop: CancellationToken) {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(limit / 3);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => drop(sd_notify::notify(&[sd_notify::NotifyState::Watchdog])),
            }
        }
    });
}

