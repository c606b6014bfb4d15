//! Measures the node and its pods on request: cgroup files, `/proc`, `statvfs`, and the runtime for writable layers.
//!
//! Nothing runs in the background, and the only history are two readings of CPU time per cgroup.

mod details;
mod disk;
mod host;
mod node;
mod pods;
mod shape;
mod shared;
mod tree;
mod volumes;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;

use self::shared::Shared;
use crate::core::model::cgroup_sample::{CgroupDetails, MachineShape};
use crate::core::model::usage::{NodeUsage, PodUsage};
use crate::core::model::{PodUid, uid_of, with_causes};
use crate::core::usage::apply_runtime_stats;
use crate::cri::PodSandboxStats;
use crate::offload::Lanes;
use crate::ports::kubelet::{ContainerStats, PodView, Pods, Usage, UsageDepth};
use crate::ports::node::ImageService;

pub use self::shared::UsageOptions;

/// Time limit of measuring one pod: large volumes have many files to count.
const LIMIT: Duration = Duration::from_secs(30);

/// The usage of this machine.
#[derive(Clone)]
pub struct MachineUsage {
    shared: Arc<Shared>,
    pods: Arc<dyn Pods>,
    runtime: Arc<dyn ContainerStats>,
    images: Arc<dyn ImageService>,
    lanes: Lanes,
}

impl MachineUsage {
    /// Detects what is mounted; measures nothing yet.
    pub fn new(
        options: UsageOptions,
        pods: Arc<dyn Pods>,
        runtime: Arc<dyn ContainerStats>,
        images: Arc<dyn ImageService>,
    ) -> Self {
        let shared = Arc::new(Shared::new(options));
        Self { shared, pods, runtime, images, lanes: Lanes::with_limit("usage of", LIMIT) }
    }

    /// Runs what reads files off the runtime's thread; `None` if it does not respond in time.
    async fn off_thread<T: Send + 'static>(
        &self,
        subject: &str,
        call: &'static str,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Option<T> {
        let shared = Arc::clone(&self.shared);
        let done = self.lanes.run(subject, call, move || work(&shared)).await;
        done.inspect_err(|error| tracing::debug!(error = with_causes(&error), "usage was not measured")).ok()
    }

    /// All pods on one thread, as long as every disk responds. Otherwise each pod by itself: a hanging volume only
    /// hides the disk usage of its own pod.
    async fn measure(&self, views: Vec<Arc<PodView>>, depth: UsageDepth, fresh: bool) -> Vec<PodUsage> {
        let layers = Arc::new(match depth {
            UsageDepth::Full => pods::Layers::ask(&*self.runtime, &*self.images).await,
            UsageDepth::CpuAndMemory => pods::Layers::default(),
        });
        let (together, of_all) = (views.clone(), Arc::clone(&layers));
        let work = move |shared: &Shared| {
            together.iter().filter_map(|view| pods::pod_usage(shared, view, &of_all, depth, fresh)).collect()
        };
        let mut all: Vec<PodUsage> = match self.off_thread("pods", "measure", work).await {
            Some(all) => all,
            None => {
                let each = views.into_iter().map(|view| self.measure_one(view, Arc::clone(&layers), depth, fresh));
                join_all(each).await.into_iter().flatten().collect()
            }
        };
        self.ask_runtime(&mut all).await;
        all.sort_by(|a, b| (&a.pod_ref.namespace, &a.pod_ref.name).cmp(&(&b.pod_ref.namespace, &b.pod_ref.name)));
        all
    }

    /// With the runtime's figures where settings want these; without them where it does not answer.
    async fn ask_runtime(&self, all: &mut [PodUsage]) {
        if !self.shared.options.from_runtime {
            return;
        }
        let stats = match self.runtime.list_pod_sandbox_stats().await {
            Ok(stats) => stats,
            Err(error) => {
                return tracing::warn!(error = with_causes(&error), "the runtime does not tell what pods use");
            }
        };
        let uid_of_stats = |stats: &PodSandboxStats| Some(stats.attributes.as_ref()?.metadata.as_ref()?.uid.clone());
        let by_uid: HashMap<_, _> = stats.iter().filter_map(|stats| Some((uid_of_stats(stats)?, stats))).collect();
        for usage in all {
            if let Some(stats) = by_uid.get(&usage.pod_ref.uid) {
                apply_runtime_stats(usage, stats);
            }
        }
    }

    async fn measure_one(
        &self,
        view: Arc<PodView>,
        layers: Arc<pods::Layers>,
        depth: UsageDepth,
        fresh: bool,
    ) -> Option<PodUsage> {
        let uid = uid_of(&view.pod).to_string();
        let (measured, all) = (Arc::clone(&view), Arc::clone(&layers));
        let work = move |shared: &Shared| pods::pod_usage(shared, &measured, &all, depth, fresh);
        if let Some(usage) = self.off_thread(&uid, "measure", work).await {
            return usage;
        }
        let work = move |shared: &Shared| pods::pod_usage(shared, &view, &layers, UsageDepth::CpuAndMemory, fresh);
        self.off_thread(&format!("{uid}, processor and memory"), "measure", work).await.flatten()
    }
}

#[async_trait]
impl Usage for MachineUsage {
    async fn node(&self, depth: UsageDepth) -> NodeUsage {
        let images = match depth {
            UsageDepth::Full => self.images.image_fs_info().await.ok(),
            UsageDepth::CpuAndMemory => None,
        };
        let work = move |shared: &Shared| node::node_usage(shared, depth, images.as_ref());
        let measured = self.off_thread("node", "measure", work).await;
        if let Some(usage) = measured {
            return usage;
        }
        let work = |shared: &Shared| node::node_usage(shared, UsageDepth::CpuAndMemory, None);
        let measured = self.off_thread("node, processor and memory", "measure", work).await;
        measured.unwrap_or_else(|| node::nothing(&self.shared))
    }

    async fn pods(&self, depth: UsageDepth) -> Vec<PodUsage> {
        self.measure(self.pods.list(), depth, false).await
    }

    async fn pod(&self, uid: &PodUid) -> Option<PodUsage> {
        let view = self.pods.by_uid(uid)?;
        let layers = Arc::new(pods::Layers::ask(&*self.runtime, &*self.images).await);
        let mut usage = self.measure_one(view, layers, UsageDepth::Full, true).await;
        self.ask_runtime(usage.as_mut_slice()).await;
        usage
    }

    async fn machine(&self) -> Option<MachineShape> {
        self.off_thread("machine", "measure", shape::machine_shape).await
    }

    async fn details(&self) -> Option<CgroupDetails> {
        let layers = pods::Layers::ask(&*self.runtime, &*self.images).await;
        let views = self.pods.list();
        let work = move |shared: &Shared| details::details(shared, &views, &layers);
        self.off_thread("all", "measure", work).await
    }
}

#[cfg(test)]
mod tests;
