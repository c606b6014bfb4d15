//! A manifest URL as a source: fetched at an interval, equal responses are skipped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::core::manifest::parse::parse_pods;
use crate::core::manifest::{Origin, static_pod::make_static};
use crate::core::model::{DesiredPod, DesiredSet, PodSource, SourceKind, with_causes};
use crate::ports::kubelet::Fetch;

pub struct HttpSource {
    pub fetch: Arc<dyn Fetch>,
    pub url: String,
    /// Headers of the request.
    pub headers: BTreeMap<String, Vec<String>>,
    pub interval: Duration,
    /// Name of the node.
    pub node_name: String,
    pub desired: mpsc::Sender<DesiredSet>,
}

impl HttpSource {
    /// Runs until `stop`. A response that is not a pod list changes nothing.
    pub async fn run(&self, stop: CancellationToken) {
        let mut last: Option<Vec<u8>> = None;
        let mut ticks = interval(self.interval.max(Duration::from_secs(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let body = match self.fetch.get(&self.url, &self.headers).await {
                Ok(body) => body,
                Err(error) => {
                    warn!(url = self.url, error = with_causes(&error), "static pod URL cannot be read");
                    continue;
                }
            };
            if last.as_ref() == Some(&body) {
                continue;
            }
            match self.read(&body) {
                Ok(pods) => {
                    last = Some(body);
                    if self.desired.send(DesiredSet { source: SourceKind::Http, pods }).await.is_err() {
                        return;
                    }
                }
                Err(error) => warn!(url = self.url, error, "static pod URL returned an invalid manifest"),
            }
        }
    }

    fn read(&self, body: &[u8]) -> Result<Vec<DesiredPod>, String> {
        let pods = parse_pods(body).map_err(|finding| finding.to_string())?;
        pods.into_iter()
            .map(|pod| {
                let pod = make_static(pod, &Origin::Url(self.url.clone()), &self.node_name)
                    .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
                Ok(DesiredPod { pod: Arc::new(pod), source: PodSource::Http(self.url.clone()) })
            })
            .collect()
    }
}
