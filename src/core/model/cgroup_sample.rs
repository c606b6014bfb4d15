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
    /// Bandwidth periods in which saved-up quota was used.
    pub burst_periods: Option<u64>,
    /// Time run on saved-up quota.
    pub burst: Option<u64>,
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
    /// The most that was ever charged.
    pub max_usage: Option<u64>,
    /// Memory of the kernel's own that is charged.
    pub kernel: Option<u64>,
    /// File pages that are not in use.
    pub inactive_file: Option<u64>,
    /// File pages that are in use.
    pub active_file: Option<u64>,
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
    /// Amount below which the memory is left to the cgroup; absent when there is none.
    pub reservation: Option<u64>,
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

/// Block I/O of one device by one cgroup.
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

/// What the kernel has counted for one block device since the boot (`Documentation/admin-guide/iostats.rst`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// `major:minor`.
    pub number: String,
    /// Name below `/dev`.
    pub name: String,
    /// Reads completed.
    pub reads: u64,
    /// Reads that were merged into others.
    pub reads_merged: u64,
    /// Sectors of 512 bytes read.
    pub sectors_read: u64,
    /// Milliseconds spent reading.
    pub read_millis: u64,
    /// Writes completed.
    pub writes: u64,
    /// Writes that were merged into others.
    pub writes_merged: u64,
    /// Sectors of 512 bytes written.
    pub sectors_written: u64,
    /// Milliseconds spent writing.
    pub write_millis: u64,
    /// Operations in progress.
    pub in_progress: u64,
    /// Milliseconds in which anything was in progress.
    pub busy_millis: u64,
    /// Milliseconds of all operations together.
    pub weighted_millis: u64,
}

/// A file system, or the share of one that a container takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystemDetail {
    /// Its device, e.g. `/dev/sda1`; what mountinfo calls its source where that is no block device.
    pub device: String,
    /// Bytes in all.
    pub capacity: u64,
    /// Bytes taken.
    pub used: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes left.
    pub inodes_free: u64,
    /// What the device has done, where it stands for the whole of it.
    pub counters: Option<DiskCounters>,
}

/// What the processes of a cgroup hold open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFiles {
    /// Descriptors.
    pub descriptors: u64,
    /// Those of sockets; absent where the kernel does not let this program see what they are.
    pub sockets: Option<u64>,
    /// Soft limit of descriptors of the first process; -1 for none. Absent where there is no such process.
    pub soft_limit: Option<i64>,
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
    /// The writable layer of a container; every file system on a block device at the root.
    pub filesystems: Vec<FileSystemDetail>,
    /// What is open.
    pub open_files: OpenFiles,
}

/// All cgroups of interest, and the names that block devices have.
#[derive(Clone, Debug, Default)]
pub struct CgroupDetails {
    /// The cgroups.
    pub cgroups: Vec<CgroupDetail>,
    /// The machine's block devices.
    pub disks: Vec<DiskCounters>,
}

/// The machine, as cAdvisor describes it (`machine_*`). What cannot be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineShape {
    /// Processors that are online.
    pub cores: Option<u32>,
    /// Cores, of which each may be several processors.
    pub physical_cores: Option<u32>,
    /// Sockets.
    pub sockets: Option<u32>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of swap.
    pub swap: Option<u64>,
    /// As in the Node's status.
    pub machine_id: String,
    /// As in the Node's status.
    pub system_uuid: String,
    /// As in the Node's status.
    pub boot_id: String,
}
