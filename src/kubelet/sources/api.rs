//! The API server as a source: the pods bound to this node, mirror pods left out.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::core::model::{DesiredPod, DesiredSet, PodSource, SourceKind};
use crate::kubelet::api::pods::ApiPodView;
use crate::kubelet::startup::StartupTracker;
use crate::ports::kubelet::PodWatch;

/// The API source.
pub struct ApiSource {
    /// The watch.
    pub watch: Box<dyn PodWatch>,
    /// The shared copy, which this source alone writes.
    pub view: Arc<ApiPodView>,
    /// Counts the starts of pods.
    pub startup: Arc<StartupTracker>,
    /// Where the sets go.
    pub desired: mpsc::Sender<DesiredSet>,
}

impl ApiSource {
    /// Runs until `stop`. While the table is busy, changes gather and go out as one set.
    pub async fn run(&mut self, stop: CancellationToken) {
        // Started again after a panic, it may owe the table what had changed before.
        let mut dirty = self.view.is_listed();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // Not lost when dropped: a listing in progress lives in the watch.
                change = self.watch.next() => {
                    let first = !self.view.is_listed();
                    self.startup.observe(&change);
                    let changed = self.view.apply(change);
                    dirty |= self.view.is_listed() && (changed || first);
                }
                permit = self.desired.reserve(), if dirty => {
                    let Ok(permit) = permit else { return };
                    permit.send(self.set());
                    dirty = false;
                }
            }
        }
    }

    /// In the order of creation, in which pods are admitted.
    fn set(&self) -> DesiredSet {
        let mut pods = self.view.list(false);
        pods.sort_by(|a, b| {
            let order = |pod: &k8s_openapi::api::core::v1::Pod| {
                (pod.metadata.creation_timestamp.as_ref().map(|t| t.0), pod.metadata.uid.clone())
            };
            order(a).cmp(&order(b))
        });
        let pods = pods.into_iter().map(|pod| DesiredPod { pod, source: PodSource::Api }).collect();
        DesiredSet { source: SourceKind::Api, pods }
    }
}
