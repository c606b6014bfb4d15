//! Everything that needs an API server: session, pod source, reporter, mirror pods, events.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::credentials;
use super::error::Error;
use crate::adapters::apiserver::node::{ApiNode, ApiObjects};
use crate::adapters::apiserver::objects::ReferencedObjects;
use crate::adapters::apiserver::pods::{ApiPods, NodePods};
use crate::adapters::apiserver::reviews::SessionReviews;
use crate::adapters::apiserver::session::Session;
use crate::adapters::apiserver::storage::ApiStorage;
use crate::core::model::{DesiredSet, KubeletSpec, key_of, uid_of};
use crate::kubelet::api::mirrors::Mirrors;
use crate::kubelet::api::pods::ApiPodView;
use crate::kubelet::events::EventRecorder;
use crate::kubelet::node::lease::LeaseKeeper;
use crate::kubelet::pods::PodTable;
use crate::kubelet::report::Reporter;
use crate::kubelet::sources::api::ApiSource;
use crate::kubelet::startup::StartupTracker;
use crate::ports::kubelet::{Events, NodeApi, Objects, Reviews, StorageApi};
use crate::supervise::{restarting, spawn};
use crate::telemetry::Metrics;

/// How long statuses may still be sent after the kubelet was told to stop.
const FLUSH: Duration = Duration::from_secs(2);

/// Interval of passing the uids of mirror pods to the table.
const NOTE_AGAIN: Duration = Duration::from_secs(10);

/// What the source of the API's pods needs.
pub struct ApiSourceParts {
    /// Where its sets go.
    pub desired: mpsc::Sender<DesiredSet>,
    /// Counts the starts of pods.
    pub startup: Arc<StartupTracker>,
    /// The uid of the node, once it is registered.
    pub node_uid: watch::Receiver<Option<String>>,
}

/// The kubelet's side of the API server.
pub struct Api {
    session: Session,
    view: Arc<ApiPodView>,
    metrics: Arc<Metrics>,
    pub objects: Arc<dyn Objects>,
    pub events: Arc<dyn Events>,
    pub reporter: Reporter,
    pub node: Arc<dyn NodeApi>,
    reporting: JoinHandle<()>,
    stop_reporting: CancellationToken,
}

impl Api {
    /// Makes the session; the server itself need not answer yet.
    pub async fn connect(
        spec: &KubeletSpec,
        path: &Path,
        metrics: &Arc<Metrics>,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let session = credentials::open(spec, path, metrics, &stop).await?;
        let ends = stop.clone();
        restarting("credential files", &stop, session.clone(), move |session| {
            Box::pin(session.follow_files(ends.clone()))
        });
        let view = Arc::new(ApiPodView::new(spec.sources.host_programs.clone()));
        let reporter = Reporter::new(Arc::new(ApiPods::new(&session)), Arc::clone(&view), Arc::clone(metrics));
        let stop_reporting = CancellationToken::new();
        let ends = stop_reporting.clone();
        let reporting = restarting("pod statuses", &stop_reporting, reporter.clone(), move |reporter| {
            Box::pin(reporter.clone().run(ends.clone(), FLUSH))
        });
        let (qps, burst) = (spec.api.event_qps, spec.api.event_burst);
        let (events, sender) = EventRecorder::new(&spec.node_name, Arc::new(ApiObjects::new(&session)), qps, burst);
        restarting("events", &stop.clone(), sender, move |sender| Box::pin(sender.run(stop.clone())));
        Ok(Self {
            objects: Arc::new(ReferencedObjects::new(&session)),
            events: Arc::new(events),
            node: Arc::new(ApiNode::new(&session, &spec.node_name)),
            session,
            view,
            metrics: Arc::clone(metrics),
            reporter,
            reporting,
            stop_reporting,
        })
    }

    /// Starts the API source and the mirror pods.
    pub fn start_pods(
        &self,
        spec: &KubeletSpec,
        parts: ApiSourceParts,
        statics: watch::Receiver<Option<Vec<Arc<Pod>>>>,
        table: &PodTable,
        stop: CancellationToken,
    ) {
        let watch = Box::new(NodePods::new(&self.session, &spec.node_name));
        let ApiSourceParts { desired, startup, node_uid } = parts;
        let source = ApiSource { watch, view: Arc::clone(&self.view), startup, desired };
        let ended = stop.clone();
        restarting("pods of the API", &stop, (source, node_uid.clone()), move |(source, registered)| {
            let ended = ended.clone();
            Box::pin(async move {
                // Admission depends on labels and taints of the Node in the API: with outdated ones it would reject
                // pods that are running here.
                let registered = registered.wait_for(Option::is_some);
                if ended.run_until_cancelled(registered).await.is_some_and(|seen| seen.is_ok()) {
                    source.run(ended).await;
                }
            })
        });
        let (view, ended) = (Arc::clone(&self.view), stop.clone());
        restarting("mirror pods of the table", &stop, table.clone(), move |table| {
            Box::pin(note_mirrors(Arc::clone(&view), table.clone(), ended.clone()))
        });
        let mirrors = Mirrors {
            api: Arc::new(ApiPods::new(&self.session)),
            view: Arc::clone(&self.view),
            statics,
            pods: Arc::clone(&table.pods),
            node_name: spec.node_name.clone(),
            node_uid,
        };
        restarting("mirror pods", &stop.clone(), mirrors, move |mirrors| Box::pin(mirrors.run(stop.clone())));
    }

    pub fn start_lease(&self, spec: &KubeletSpec, node_uid: watch::Receiver<Option<String>>, stop: CancellationToken) {
        let session = self.session.clone();
        let keeper = LeaseKeeper {
            api: Arc::clone(&self.node),
            node_name: spec.node_name.clone(),
            node_uid,
            seconds: spec.node.lease_seconds,
            suspect: Box::new(move || {
                let session = session.clone();
                spawn("session", async move { session.renew().await });
            }),
        };
        restarting("lease", &stop.clone(), keeper, move |keeper| Box::pin(keeper.run(stop.clone())));
    }

    /// Starts renewal of the client certificate and, if the cluster issues it, of the serving certificate.
    pub fn start_certificates(&self, spec: &KubeletSpec, node: watch::Receiver<Arc<Node>>, stop: CancellationToken) {
        credentials::start(spec, &self.session, node, &self.metrics, stop);
    }

    /// Sends the remaining statuses, for a short time.
    pub async fn flush(self) {
        self.stop_reporting.cancel();
        if tokio::time::timeout(FLUSH.saturating_mul(2), self.reporting).await.is_err() {
            warn!("some pod statuses were not sent before the exit");
        }
    }

    /// API objects of storage drivers.
    pub fn storage(&self, spec: &KubeletSpec) -> Arc<dyn StorageApi> {
        Arc::new(ApiStorage::new(&self.session, Arc::clone(&self.node), &spec.node_name))
    }

    /// Reviews for the server.
    pub fn reviews(&self) -> Arc<dyn Reviews> {
        Arc::new(SessionReviews::new(self.session.clone()))
    }
}

/// Passes the uids of mirror pods to the pod table, so that requests with them find the static pod.
async fn note_mirrors(view: Arc<ApiPodView>, table: PodTable, stop: CancellationToken) {
    let mut changes = view.subscribe();
    // A mirror pod may be known before its static pod is: hence the repetition.
    let mut again = tokio::time::interval(NOTE_AGAIN);
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => return,
            _ = again.tick() => None,
            change = changes.recv() => match change {
                Ok(change) if !change.mirror => continue,
                Ok(change) => Some(change),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
        };
        match change {
            Some(change) => table.table.set_mirror(&change.key, view.by_key(&change.key).map(|pod| uid_of(&pod))),
            None => {
                for mirror in view.list(true) {
                    table.table.set_mirror(&key_of(&mirror), Some(uid_of(&mirror)));
                }
            }
        }
    }
}
