//! One reading of a cgroup's files, the same for both versions of cgroups.

use jiff::Timestamp;

use super::usage::{InterfaceUsage, Psi};

/// What one cgroup's files said. Everything that a kernel may not offer is optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupSample {
    /// When it was read.
    pub at: Timestamp,
    /// Processor time.
    pub cpu: CpuSample,
    /// Memory.
    pub memory: MemorySample,
    /// Block I/O per device.
    pub io: Vec<DeviceSample>,
    /// Tasks now.
    pub tasks: Option<u64>,
    /// Most tasks.
    pub tasks_limit: Option<u64>,
    /// Processes now.
    pub processes: Option<u64>,
    /// Pressure of processors.
    pub cpu_pressure: Option<Psi>,
    /// Pressure of memory.
    pub memory_pressure: Option<Psi>,
    /// Pressure of block I/O.
    pub io_pressure: Option<Psi>,
}

/// Processor time in nanoseconds, bandwidth periods, settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSample {
    /// All.
    pub usage: Option<u64>,
    /// In user mode.
    pub user: Option<u64>,
    /// In the kernel.
    pub system: Option<u64>,
    /// Bandwidth periods that passed.
    pub periods: Option<u64>,
    /// Those in which the quota ran out.
    pub throttled_periods: Option<u64>,
    /// Time waited for a new quota.
    pub throttled: Option<u64>,
    /// `cpu.shares`, or what `cpu.weight` stands for.
    pub shares: Option<u64>,
    /// Quota in microseconds per period.
    pub quota: Option<u64>,
    /// Period in microseconds.
    pub period: Option<u64>,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemorySample {
    /// All that is charged.
    pub usage: Option<u64>,
    /// File pages that are not in use.
    pub inactive_file: Option<u64>,
    /// Anonymous memory.
    pub rss: Option<u64>,
    /// File pages.
    pub cache: Option<u64>,
    /// File pages that are mapped.
    pub mapped_file: Option<u64>,
    /// Page faults since the start.
    pub faults: Option<u64>,
    /// Those that read from disk.
    pub major_faults: Option<u64>,
    /// Limit; absent when there is none.
    pub limit: Option<u64>,
    /// How often the limit was hit.
    pub limit_hits: Option<u64>,
    /// Swap in use.
    pub swap: Option<u64>,
    /// Most swap; absent when there is no limit.
    pub swap_limit: Option<u64>,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: Option<u64>,
}

impl MemorySample {
    /// Usage without file pages that can go at once.
    pub fn working_set(&self) -> Option<u64> {
        Some(self.usage?.saturating_sub(self.inactive_file.unwrap_or(0)))
    }
}

/// Block I/O of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceSample {
    /// `major:minor`.
    pub device: String,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
}

/// A cgroup with what it belongs to, for `/metrics/cadvisor`.
#[derive(Clone, Debug, Default)]
pub struct CgroupDetail {
    /// Path below the root, `/` for the node.
    pub id: String,
    /// Id of the container in the runtime; empty for pods and the system.
    pub name: String,
    /// Image of the container.
    pub image: String,
    /// Pod.
    pub pod: String,
    /// Namespace.
    pub namespace: String,
    /// Container; empty for the pod itself and for its sandbox.
    pub container: String,
    /// When the container started.
    pub started: Option<Timestamp>,
    /// The reading.
    pub sample: CgroupSample,
    /// Interfaces, at the sandbox (and at the root for the node).
    pub interfaces: Vec<InterfaceUsage>,
    /// Bytes of the container's writable layer.
    pub rootfs_used: Option<u64>,
    /// Inodes of the container's writable layer.
    pub rootfs_inodes: Option<u64>,
}
