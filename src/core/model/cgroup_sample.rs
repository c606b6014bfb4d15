//! One reading of a cgroup's files, in the same form for both versions of cgroups.

use jiff::Timestamp;

use super::usage::{InterfaceUsage, Psi};

/// The values of one cgroup. `None` for what the kernel does not offer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupSample {
    /// When it was read.
    pub at: Timestamp,
    /// CPU time and settings.
    pub cpu: CpuSample,
    /// Memory usage and limits.
    pub memory: MemorySample,
    /// Block I/O per device.
    pub io: Vec<DeviceSample>,
    /// Current number of tasks (`pids.current`).
    pub tasks: Option<u64>,
    /// Limit of tasks (`pids.max`); `None` for no limit.
    pub tasks_limit: Option<u64>,
    /// Current number of processes (lines of `cgroup.procs`).
    pub processes: Option<u64>,
    /// Stall times of CPU (`cpu.pressure`).
    pub cpu_pressure: Option<Psi>,
    /// Stall times of memory (`memory.pressure`).
    pub memory_pressure: Option<Psi>,
    /// Stall times of block I/O (`io.pressure`).
    pub io_pressure: Option<Psi>,
}

/// CPU time in nanoseconds, bandwidth periods, settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSample {
    /// CPU time in total.
    pub usage: Option<u64>,
    /// CPU time in user mode.
    pub user: Option<u64>,
    /// CPU time in the kernel.
    pub system: Option<u64>,
    /// Number of elapsed bandwidth periods.
    pub periods: Option<u64>,
    /// Number of periods in which the quota was used up.
    pub throttled_periods: Option<u64>,
    /// Time throttled, waiting for a new quota.
    pub throttled: Option<u64>,
    /// Number of periods in which accumulated quota was used.
    pub burst_periods: Option<u64>,
    /// Time run on accumulated quota.
    pub burst: Option<u64>,
    /// `cpu.shares`, or the equivalent of `cpu.weight`.
    pub shares: Option<u64>,
    /// Quota in microseconds per period; `None` for no limit.
    pub quota: Option<u64>,
    /// Bandwidth period in microseconds.
    pub period: Option<u64>,
}

/// Memory of a cgroup, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemorySample {
    /// All memory charged to the cgroup.
    pub usage: Option<u64>,
    /// Highest usage so far.
    pub max_usage: Option<u64>,
    /// Kernel memory charged to the cgroup.
    pub kernel: Option<u64>,
    /// Page cache on the inactive list.
    pub inactive_file: Option<u64>,
    /// Page cache on the active list.
    pub active_file: Option<u64>,
    /// Anonymous memory, without file pages.
    pub rss: Option<u64>,
    /// Page cache, mapped or not.
    pub cache: Option<u64>,
    /// Page cache that is mapped into processes.
    pub mapped_file: Option<u64>,
    /// Page faults since the cgroup was created.
    pub faults: Option<u64>,
    /// Page faults that read from disk.
    pub major_faults: Option<u64>,
    /// Hard limit; `None` if there is none.
    pub limit: Option<u64>,
    /// Memory protected from reclaim (`memory.low`, soft limit); `None` if there is none.
    pub reservation: Option<u64>,
    /// How often the limit was hit.
    pub limit_hits: Option<u64>,
    /// Swap used by the cgroup.
    pub swap: Option<u64>,
    /// Limit of swap; `None` if there is none.
    pub swap_limit: Option<u64>,
    /// Processes that the OOM killer killed.
    pub oom_kills: Option<u64>,
}

impl MemorySample {
    /// Usage without page cache that can be reclaimed immediately.
    pub fn working_set(&self) -> Option<u64> {
        Some(self.usage?.saturating_sub(self.inactive_file.unwrap_or(0)))
    }
}

/// Block I/O of one cgroup on one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceSample {
    /// Device number as `major:minor`.
    pub device: String,
    /// Bytes read since the cgroup was created.
    pub read_bytes: u64,
    /// Bytes written since the cgroup was created.
    pub written_bytes: u64,
    /// Number of read operations.
    pub reads: u64,
    /// Number of write operations.
    pub writes: u64,
}

/// Statistics of one block device since boot (`Documentation/admin-guide/iostats.rst`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Device number as `major:minor`.
    pub number: String,
    /// Name below `/dev`, e.g. `sda1`.
    pub name: String,
    /// Number of completed reads.
    pub reads: u64,
    /// Reads that were merged into others.
    pub reads_merged: u64,
    /// Sectors of 512 bytes read.
    pub sectors_read: u64,
    /// Time spent reading, in milliseconds.
    pub read_millis: u64,
    /// Number of completed writes.
    pub writes: u64,
    /// Writes that were merged into others.
    pub writes_merged: u64,
    /// Sectors of 512 bytes written.
    pub sectors_written: u64,
    /// Time spent writing, in milliseconds.
    pub write_millis: u64,
    /// Number of operations in progress.
    pub in_progress: u64,
    /// Time with any operation in progress, in milliseconds.
    pub busy_millis: u64,
    /// Time of all operations summed up, in milliseconds.
    pub weighted_millis: u64,
}

/// A file system, or a container's share of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystemDetail {
    /// Its device, e.g. `/dev/sda1`; the source in mountinfo if that is not a block device.
    pub device: String,
    /// Total size in bytes.
    pub capacity: u64,
    /// Number of bytes in use.
    pub used: u64,
    /// Total number of inodes.
    pub inodes: u64,
    /// Number of free inodes.
    pub inodes_free: u64,
    /// Statistics of the device; `None` for a share of a file system.
    pub counters: Option<DiskCounters>,
}

/// Open files of the processes in a cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFiles {
    /// Number of open file descriptors.
    pub descriptors: u64,
    /// Descriptors that are sockets; `None` if the kernel does not let this program see what they are.
    pub sockets: Option<u64>,
    /// Soft limit of descriptors of the first process, -1 for unlimited; `None` if there is no process.
    pub soft_limit: Option<i64>,
}

/// A cgroup with its labels, for `/metrics/cadvisor`.
#[derive(Clone, Debug, Default)]
pub struct CgroupDetail {
    /// Path below the root; `/` for the node.
    pub id: String,
    /// The runtime's container id; empty for pods and the system.
    pub name: String,
    /// Image of the container; empty if it is not one.
    pub image: String,
    /// Name of the pod; empty outside of pods.
    pub pod: String,
    /// Namespace of the pod; empty outside of pods.
    pub namespace: String,
    /// Name of the container; empty for a pod and its sandbox.
    pub container: String,
    /// When the container started.
    pub started: Option<Timestamp>,
    /// The values read from its files.
    pub sample: CgroupSample,
    /// Network interfaces: for sandboxes, and for the node at the root.
    pub interfaces: Vec<InterfaceUsage>,
    /// The writable layer of a container; at the root, every file system on a block device.
    pub filesystems: Vec<FileSystemDetail>,
    /// Files that its processes have open.
    pub open_files: OpenFiles,
}

/// All reported cgroups, and the machine's block devices.
#[derive(Clone, Debug, Default)]
pub struct CgroupDetails {
    /// The cgroups, each with its labels.
    pub cgroups: Vec<CgroupDetail>,
    /// Statistics of the machine's block devices.
    pub disks: Vec<DiskCounters>,
}

/// The machine, as cAdvisor describes it (`machine_*`). `None` for what cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineShape {
    /// Number of online processors.
    pub cores: Option<u32>,
    /// Number of physical cores, each of which may be several processors.
    pub physical_cores: Option<u32>,
    /// Number of CPU sockets.
    pub sockets: Option<u32>,
    /// Size of memory in bytes.
    pub memory: Option<u64>,
    /// Size of swap in bytes.
    pub swap: Option<u64>,
    /// `machineID` as in the Node's status.
    pub machine_id: String,
    /// `systemUUID` as in the Node's status.
    pub system_uuid: String,
    /// `bootID` as in the Node's status.
    pub boot_id: String,
}
