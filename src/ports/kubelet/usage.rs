//! Resource usage of the node and its pods.

use async_trait::async_trait;

use crate::core::model::PodUid;
use crate::core::model::cgroup_sample::{CgroupDetails, MachineShape};
use crate::core::model::usage::{NodeUsage, PodUsage};

/// Which values to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageDepth {
    /// Only cgroup files: CPU, memory, processes.
    CpuAndMemory,
    /// Everything; values of file systems may be up to a minute old.
    Full,
}

/// Usage of the node and its pods. Everything is read on request; only the last two CPU readings are kept.
#[async_trait]
pub trait Usage: Send + Sync {
    /// Usage of the node. Cheap: a handful of small files and `statvfs`; the eviction manager calls it every ten
    /// seconds.
    async fn node(&self, depth: UsageDepth) -> NodeUsage;
    /// Usage of all pods with a sandbox, sorted by namespace and name. Disk usage is cached for a minute.
    async fn pods(&self, depth: UsageDepth) -> Vec<PodUsage>;
    /// Usage of one pod, measured now (including its disk usage); `None` if it cannot be measured.
    async fn pod(&self, uid: &PodUid) -> Option<PodUsage>;
    /// The machine: processors, memory, identity. `None` if reading times out.
    async fn machine(&self) -> Option<MachineShape>;
    /// Every reported cgroup with its raw reading: the node, system parts, pods, containers, sandboxes. `None` if
    /// reading times out.
    async fn details(&self) -> Option<CgroupDetails>;
}
