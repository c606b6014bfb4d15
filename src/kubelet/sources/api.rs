//! The API server as a source: the pods bound to this node, without mirror pods.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::core::model::{DesiredPod, DesiredSet, PodSource, SourceKind};
use crate::kubelet::api::pods::ApiPodView;
use crate::kubelet::startup::StartupTracker;
use crate::ports::kubelet::PodWatch;

pub struct ApiSource {
    pub watch: Box<dyn PodWatch>,
    /// The shared copy, which only this source writes.
    pub view: Arc<ApiPodView>,
    /// Counts the starts of pods.
    pub startup: Arc<StartupTracker>,
    /// Where the sets go.
    pub desired: mpsc::Sender<DesiredSet>,
}

impl ApiSource {
    /// Runs until `stop`. While the table is busy, changes are combined into one set.
    pub async fn run(&mut self, stop: CancellationToken) {
        // After a restart by a panic, earlier changes may not have been sent.
        let mut dirty = self.view.is_listed();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // Not lost when dropped: the watch keeps a listing in progress.
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

    /// In the order of creation, which is the order of admission.
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
