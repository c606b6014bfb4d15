//! Usage of the node and its pods, in the JSON shape of `/stats/summary` (stats/v1alpha1).
//!
//! Everything is optional that could not be measured; nothing is ever guessed. Bytes, nanoseconds and counts.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// The whole answer of `/stats/summary`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The node.
    pub node: NodeUsage,
    /// Its pods, sorted by namespace and name.
    pub pods: Vec<PodUsage>,
}

/// The node as a whole.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeUsage {
    /// Name of the Node object.
    pub node_name: String,
    /// `kubelet`, `runtime`, `misc`, `pods`: usage of the parts of the system.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system_containers: Vec<ContainerUsage>,
    /// When the machine booted.
    #[serde(serialize_with = "seconds")]
    pub start_time: Timestamp,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuUsage>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUsage>,
    /// Block I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<IoUsage>,
    /// Interfaces of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkUsage>,
    /// The file system that holds the kubelet's root directory (eviction signal `nodefs`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs: Option<FsUsage>,
    /// File systems of the runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeFsUsage>,
    /// Process ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rlimit: Option<PidUsage>,
    /// Swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapUsage>,
}

/// File systems of the runtime.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeFsUsage {
    /// Images (eviction signal `imagefs`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_fs: Option<FsUsage>,
    /// Writable layers (eviction signal `containerfs`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_fs: Option<FsUsage>,
}

/// Process ids of the node.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PidUsage {
    /// When measured.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// Most processes that can be.
    pub maxpid: u64,
    /// Threads that are.
    pub curproc: u64,
}

/// Which pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodReference {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid; a static pod's is its manifest's, not its mirror's.
    pub uid: String,
}

/// One pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodUsage {
    /// Which pod.
    pub pod_ref: PodReference,
    /// When the pod started.
    #[serde(serialize_with = "seconds")]
    pub start_time: Timestamp,
    /// Its running containers.
    pub containers: Vec<ContainerUsage>,
    /// Processors, of the pod's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuUsage>,
    /// Memory, of the pod's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUsage>,
    /// Block I/O, of the pod's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<IoUsage>,
    /// Its network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkUsage>,
    /// Its volumes.
    #[serde(rename = "volume", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeUsage>,
    /// Writable layers, logs and local ephemeral volumes together.
    #[serde(rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<FsUsage>,
    /// Its processes.
    #[serde(rename = "process_stats", skip_serializing_if = "Option::is_none")]
    pub processes: Option<ProcessUsage>,
    /// Swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapUsage>,
}

/// One container, or one part of the system.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerUsage {
    /// Name in the pod.
    pub name: String,
    /// When it started.
    #[serde(serialize_with = "seconds")]
    pub start_time: Timestamp,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuUsage>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUsage>,
    /// Block I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<IoUsage>,
    /// Its writable layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<FsUsage>,
    /// Its log files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<FsUsage>,
    /// Swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapUsage>,
}

/// Processor time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CpuUsage {
    /// When measured.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// Billionths of a core over the time since the sample before; needs two samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_nano_cores: Option<u64>,
    /// Nanoseconds of processor time since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_core_nano_seconds: Option<u64>,
    /// Pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// Memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryUsage {
    /// When measured.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// Limit (or capacity) minus working set; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// All memory charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_bytes: Option<u64>,
    /// Usage without inactive file pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_set_bytes: Option<u64>,
    /// Anonymous memory.
    #[serde(rename = "rssBytes", skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// Minor faults since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_faults: Option<u64>,
    /// Major faults since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major_page_faults: Option<u64>,
    /// Pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// Block I/O.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct IoUsage {
    /// When measured.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// Pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// Pressure stall information of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Psi {
    /// All tasks stalled.
    pub full: PsiData,
    /// At least one task stalled.
    pub some: PsiData,
}

/// One line of a `*.pressure` file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PsiData {
    /// Stalled time in nanoseconds.
    pub total: u64,
    /// Percent of the last 10 seconds.
    pub avg10: f64,
    /// Percent of the last minute.
    pub avg60: f64,
    /// Percent of the last five minutes.
    pub avg300: f64,
}

/// Swap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SwapUsage {
    /// When measured.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// What may still be swapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_available_bytes: Option<u64>,
    /// What is swapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_usage_bytes: Option<u64>,
}

/// Processes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessUsage {
    /// Threads, as the pids controller counts them.
    pub process_count: u64,
}

/// A network namespace: the default interface inline, then all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NetworkUsage {
    /// When measured.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// `eth0`, where there is one.
    #[serde(flatten)]
    pub default: Option<InterfaceUsage>,
    /// All interfaces but the loopback.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceUsage>,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceUsage {
    /// Name.
    pub name: String,
    /// Bytes in.
    pub rx_bytes: u64,
    /// Errors in.
    pub rx_errors: u64,
    /// Bytes out.
    pub tx_bytes: u64,
    /// Errors out.
    pub tx_errors: u64,
    /// Packets in; not part of the summary.
    #[serde(skip)]
    pub rx_packets: u64,
    /// Packets dropped on the way in; not part of the summary.
    #[serde(skip)]
    pub rx_dropped: u64,
    /// Packets out; not part of the summary.
    #[serde(skip)]
    pub tx_packets: u64,
    /// Packets dropped on the way out; not part of the summary.
    #[serde(skip)]
    pub tx_dropped: u64,
}

/// A file system, or the part of one that a directory takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FsUsage {
    /// When measured.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// Free for unprivileged users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// Size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_bytes: Option<u64>,
    /// Used by what is described here, not by others on the same file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// Free inodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes_free: Option<u64>,
    /// Inodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    /// Inodes used by what is described here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes_used: Option<u64>,
}

/// One volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeUsage {
    /// The figures.
    #[serde(flatten)]
    pub fs: FsUsage,
    /// Name in `spec.volumes`.
    pub name: String,
    /// The claim behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc_ref: Option<ClaimReference>,
    /// Whether it counts as the pod's ephemeral storage (emptyDir on disk, configMap and the like).
    #[serde(skip)]
    pub local_ephemeral: bool,
}

/// A persistent volume claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClaimReference {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// Times of the summary have whole seconds, like all `metav1.Time`.
fn seconds<S: Serializer>(time: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(*time);
    out.collect_str(&whole)
}
