//! Usage of the node and its pods, in the JSON format of `/stats/summary` (stats/v1alpha1).
//!
//! What could not be measured is `None`; nothing is estimated. Units are bytes, nanoseconds and counts.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// The response of `/stats/summary`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Usage of the whole node.
    pub node: NodeUsage,
    /// Usage of its pods, sorted by namespace and name.
    pub pods: Vec<PodUsage>,
}

/// Usage of the node as a whole.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeUsage {
    /// Name of the Node object.
    pub node_name: String,
    /// Usage of system parts: `kubelet`, `runtime`, `misc`, `pods`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system_containers: Vec<ContainerUsage>,
    /// When the machine booted.
    #[serde(serialize_with = "seconds")]
    pub start_time: Timestamp,
    /// CPU usage of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuUsage>,
    /// Memory usage of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUsage>,
    /// Pressure of block I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<IoUsage>,
    /// Network interfaces of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkUsage>,
    /// The file system of the kubelet's root directory (eviction signal `nodefs`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs: Option<FsUsage>,
    /// The runtime's file systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeFsUsage>,
    /// Process ids in use, and their limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rlimit: Option<PidUsage>,
    /// Swap usage of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapUsage>,
}

/// The file systems of the container runtime.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeFsUsage {
    /// File system of images (eviction signal `imagefs`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_fs: Option<FsUsage>,
    /// File system of writable layers (eviction signal `containerfs`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_fs: Option<FsUsage>,
}

/// Process ids of the node.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PidUsage {
    /// Time of the measurement.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// Most processes that the kernel allows.
    pub maxpid: u64,
    /// Current number of threads.
    pub curproc: u64,
}

/// The pod that usage belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodReference {
    /// `metadata.name` of the pod.
    pub name: String,
    /// `metadata.namespace` of the pod.
    pub namespace: String,
    /// Its uid; for a static pod that of its manifest, not of its mirror pod.
    pub uid: String,
}

/// Usage of one pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodUsage {
    /// The pod that was measured.
    pub pod_ref: PodReference,
    /// When the pod started.
    #[serde(serialize_with = "seconds")]
    pub start_time: Timestamp,
    /// Usage of its running containers.
    pub containers: Vec<ContainerUsage>,
    /// CPU usage of the pod's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuUsage>,
    /// Memory usage of the pod's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUsage>,
    /// I/O pressure of the pod's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<IoUsage>,
    /// Interfaces of its network namespace; `None` with the host's network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkUsage>,
    /// Usage of its volumes.
    #[serde(rename = "volume", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeUsage>,
    /// Writable layers, logs and local ephemeral volumes together.
    #[serde(rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<FsUsage>,
    /// Number of its processes.
    #[serde(rename = "process_stats", skip_serializing_if = "Option::is_none")]
    pub processes: Option<ProcessUsage>,
    /// Swap usage of the pod's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapUsage>,
}

/// Usage of one container, or of one system part.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerUsage {
    /// Name of the container in the pod.
    pub name: String,
    /// When the container started.
    #[serde(serialize_with = "seconds")]
    pub start_time: Timestamp,
    /// CPU usage of its cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuUsage>,
    /// Memory usage of its cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUsage>,
    /// I/O pressure of its cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<IoUsage>,
    /// Disk usage of its writable layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<FsUsage>,
    /// Disk usage of its log files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<FsUsage>,
    /// Swap usage of its cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapUsage>,
}

/// CPU time of a cgroup or the node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CpuUsage {
    /// Time of the measurement.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// Usage since the previous sample, in billionths of a core; `None` for the first sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_nano_cores: Option<u64>,
    /// CPU time since the start, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_core_nano_seconds: Option<u64>,
    /// CPU pressure; `None` without PSI in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// Memory of a cgroup or the node, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryUsage {
    /// Time of the measurement.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// Limit (or capacity) minus working set; `None` without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// All memory charged to the cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_bytes: Option<u64>,
    /// Usage without inactive page cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_set_bytes: Option<u64>,
    /// Anonymous memory, without file pages.
    #[serde(rename = "rssBytes", skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// Number of page faults since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_faults: Option<u64>,
    /// Number of major page faults since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major_page_faults: Option<u64>,
    /// Memory pressure; `None` without PSI in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// Block I/O of a cgroup or the node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct IoUsage {
    /// Time of the measurement.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// I/O pressure; `None` without PSI in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// Pressure stall information of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Psi {
    /// Time in which all tasks were stalled.
    pub full: PsiData,
    /// Time in which at least one task was stalled.
    pub some: PsiData,
}

/// One line of a `*.pressure` file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PsiData {
    /// Total stalled time in nanoseconds.
    pub total: u64,
    /// Percentage of the last 10 seconds.
    pub avg10: f64,
    /// Percentage of the last minute.
    pub avg60: f64,
    /// Percentage of the last five minutes.
    pub avg300: f64,
}

/// Swap of a cgroup or the node, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SwapUsage {
    /// Time of the measurement.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// Swap space that is still available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_available_bytes: Option<u64>,
    /// Swap space that is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_usage_bytes: Option<u64>,
}

/// Number of processes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessUsage {
    /// Number of threads, as the pids controller counts them.
    pub process_count: u64,
}

/// Interfaces of a network namespace: the default one inline, then all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NetworkUsage {
    /// Time of the measurement.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// The interface `eth0`; `None` if there is none.
    #[serde(flatten)]
    pub default: Option<InterfaceUsage>,
    /// All interfaces except the loopback.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceUsage>,
}

/// Counters of one interface since its creation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceUsage {
    /// Name of the interface.
    pub name: String,
    /// Number of received bytes.
    pub rx_bytes: u64,
    /// Number of receive errors.
    pub rx_errors: u64,
    /// Number of sent bytes.
    pub tx_bytes: u64,
    /// Number of send errors.
    pub tx_errors: u64,
    /// Number of received packets; not part of the summary.
    #[serde(skip)]
    pub rx_packets: u64,
    /// Number of received packets that were dropped; not part of the summary.
    #[serde(skip)]
    pub rx_dropped: u64,
    /// Number of sent packets; not part of the summary.
    #[serde(skip)]
    pub tx_packets: u64,
    /// Number of outgoing packets that were dropped; not part of the summary.
    #[serde(skip)]
    pub tx_dropped: u64,
}

/// Usage of a file system, or of a directory on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FsUsage {
    /// Time of the measurement.
    #[serde(serialize_with = "seconds")]
    pub time: Timestamp,
    /// Bytes available to unprivileged users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// Size of the file system in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_bytes: Option<u64>,
    /// Bytes used by the described directory, not by others on the same file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// Number of free inodes on the file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes_free: Option<u64>,
    /// Number of inodes of the file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    /// Number of inodes used by the described directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes_used: Option<u64>,
}

/// Usage of one volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeUsage {
    /// Measured usage of the volume.
    #[serde(flatten)]
    pub fs: FsUsage,
    /// Name of the volume in `spec.volumes`.
    pub name: String,
    /// The claim of the volume; `None` if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc_ref: Option<ClaimReference>,
    /// True if it counts as ephemeral storage of the pod (emptyDir on disk, configMap and the like).
    #[serde(skip)]
    pub local_ephemeral: bool,
}

/// Identity of a persistent volume claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClaimReference {
    /// `metadata.name` of the claim.
    pub name: String,
    /// `metadata.namespace` of the claim.
    pub namespace: String,
}

/// Times in the summary have whole seconds, as every `metav1.Time`.
fn seconds<S: Serializer>(time: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(*time);
    out.collect_str(&whole)
}
