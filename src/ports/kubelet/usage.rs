//! Measures what the node and its pods use.

use async_trait::async_trait;

use crate::core::model::PodUid;
use crate::core::model::cgroup_sample::{CgroupDetails, MachineShape};
use crate::core::model::usage::{NodeUsage, PodUsage};

/// How much to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageDepth {
    /// cgroup files only: processors, memory, processes.
    CpuAndMemory,
    /// All of it; file-system figures may be up to a minute old.
    Full,
}

/// Usage of the node and its pods. Everything is read when asked; only the last two processor samples are kept.
#[async_trait]
pub trait Usage: Send + Sync {
    /// The node. Cheap: a handful of small files and `statvfs`; the eviction loop asks for it each ten seconds.
    async fn node(&self, depth: UsageDepth) -> NodeUsage;
    /// All pods with a sandbox, sorted by namespace and name. Disk usage is cached for a minute.
    async fn pods(&self, depth: UsageDepth) -> Vec<PodUsage>;
    /// One pod, measured now (also its disk usage).
    async fn pod(&self, uid: &PodUid) -> Option<PodUsage>;
    /// The machine: processors, memory, identity. `None` where its files do not answer.
    async fn machine(&self) -> Option<MachineShape>;
    /// Every cgroup of interest with its raw reading: the node, the system's parts, pods, containers, sandboxes. `None`
    /// where a disk does not answer.
    async fn details(&self) -> Option<CgroupDetails>;
}
