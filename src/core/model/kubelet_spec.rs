//! The kubelet's settings, after flags, file and defaults have been merged and validated.
//!
//! Members are private to the crate, so that the compiler rejects one that is never read: no setting is ignored
//! silently. What the binary itself reads is public.

#![deny(dead_code)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;
use serde_json::Value;

use super::Release;

/// All settings of the kubelet.
#[derive(Clone, Debug)]
pub struct KubeletSpec {
    /// The minor version of Kubernetes that this kubelet claims for as long as it runs.
    pub(crate) release: &'static Release,
    /// Name of the Node object, lower case.
    pub(crate) node_name: String,
    /// Credentials for the API server; `None` means standalone.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Credentials that only allow requesting a certificate.
    pub(crate) bootstrap_kubeconfig: Option<PathBuf>,
    pub(crate) dirs: Dirs,
    /// Sources of static pods.
    pub(crate) sources: Sources,
    pub(crate) runtime: RuntimeSettings,
    pub(crate) node: NodeSettings,
    /// The HTTPS server and its companions.
    pub(crate) server: ServerSettings,
    /// Defaults and limits of pods.
    pub(crate) pods: PodSettings,
    /// Images and their garbage collection.
    pub(crate) images: ImageSettings,
    pub(crate) logs: LogSettings,
    /// Eviction thresholds and reservations.
    pub(crate) eviction: EvictionSettings,
    pub(crate) shutdown: ShutdownSettings,
    /// Client limits towards the API server.
    pub(crate) api: ApiSettings,
    /// Request a new client certificate before the current one expires.
    pub(crate) rotate_certificates: bool,
    /// Request a serving certificate from the cluster.
    pub(crate) server_tls_bootstrap: bool,
    /// Log verbosity as upstream counts it (`-v`).
    pub verbosity: u8,
    /// Log lines are JSON (`logging.format`).
    pub json_log: bool,
    /// Requirements on the machine, and settings of the kubelet's own process.
    pub(crate) host: HostSettings,
    /// How long a volume size is cached; `None` disables measuring volumes.
    pub(crate) volume_period: Option<Duration>,
    /// The runtime measures pods and containers, not the kubelet (feature gate `PodAndContainerStatsFromCRI`).
    pub(crate) usage_from_runtime: bool,
    /// Flags that were given, sorted, as `/flagz` shows them.
    pub(crate) flags: Vec<(String, String)>,
    /// Reported once at startup: settings that are not implemented, and what happens instead.
    pub warnings: Vec<String>,
    /// The whole effective `KubeletConfiguration` with apiVersion and kind, as `/configz` shows it.
    pub(crate) effective: Value,
}

/// Requirements on the machine before anything starts, and settings of the kubelet's own process.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// `failSwapOn`: refuse to run on a machine with swap.
    pub(crate) fail_swap_on: bool,
    /// `failCgroupV1`: refuse to run on a machine with cgroup v1.
    pub(crate) fail_cgroup_v1: bool,
    /// `memorySwap.swapBehavior`: empty, `NoSwap`, `LimitedSwap`.
    pub(crate) swap_behavior: String,
    /// True if `singleProcessOOMKill` is false: the OOM killer kills all processes of a container.
    pub(crate) ends_single_processes: bool,
    /// `reservedSystemCPUs`, a list in the kernel's form; empty for none.
    pub(crate) reserved_cpus: String,
    /// `protectKernelDefaults`: kernel settings are checked instead of set.
    pub(crate) protect_kernel_defaults: bool,
    /// `makeIPTablesUtilChains`: create the chain that shows other programs which iptables variant this node uses.
    pub(crate) iptables_hint: bool,
    /// `oom_score_adj` of the kubelet itself.
    pub(crate) oom_score_adj: i32,
    /// Limit of open files of the kubelet.
    pub(crate) max_open_files: u64,
    pub(crate) lock_file: Option<PathBuf>,
    pub(crate) exit_on_lock_contention: bool,
}

/// Directories the kubelet owns or reads.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// `--root-dir`, by default `/var/lib/kubelet`.
    pub(crate) root: PathBuf,
    /// `--cert-dir`, by default `/var/lib/kubelet/pki`.
    pub(crate) certs: PathBuf,
    pub(crate) pod_logs: PathBuf,
}

/// Where static pods come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `staticPodPath`: a directory or one file.
    pub(crate) path: Option<PathBuf>,
    /// Slow re-list of the path.
    pub(crate) file_check: Duration,
    pub(crate) url: Option<String>,
    /// Headers for the URL.
    pub(crate) url_headers: BTreeMap<String, Vec<String>>,
    /// How often the URL is read.
    pub(crate) http_check: Duration,
    /// `--static-pod-units`: each static pod has a systemd unit.
    pub(crate) units: bool,
    /// `--host-programs`: folders from which pods of the API may run programs as `host:…` and `nix:0…`.
    pub(crate) host_programs: Vec<PathBuf>,
}

/// Connection to the container runtime.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// CRI socket, e.g. `unix:///run/containerd/containerd.sock`.
    pub(crate) endpoint: String,
    /// Socket of the image service; that of the runtime by default.
    pub(crate) image_endpoint: String,
    /// Default deadline of a call.
    pub(crate) timeout: Duration,
    /// `cgroupDriver`, used if the runtime does not report one: `systemd` or `cgroupfs`.
    pub(crate) cgroup_driver: String,
    pub(crate) cgroup_root: String,
}

/// Settings of the Node object.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Create the Node if it is missing.
    pub(crate) register: bool,
    /// Labels set at registration.
    pub(crate) labels: BTreeMap<String, String>,
    /// Taints set at creation.
    pub(crate) taints: Vec<Taint>,
    /// `--node-ip`: none, one, or one of each family.
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) external_cloud: bool,
    pub(crate) provider_id: String,
    /// Most pods on the node (`maxPods`).
    pub(crate) max_pods: u32,
    /// Pods per core; 0 means no such limit.
    pub(crate) pods_per_core: u32,
    /// Pod CIDR in standalone mode.
    pub(crate) pod_cidr: String,
    /// How often the status is computed.
    pub(crate) status_update: Duration,
    /// How often an unchanged status is sent.
    pub(crate) status_report: Duration,
    /// Duration of the node lease in seconds.
    pub(crate) lease_seconds: i32,
    /// Images listed in the status; negative means all.
    pub(crate) max_images: i64,
    /// Volumes are attached and detached by the controller manager.
    pub(crate) controller_attach_detach: bool,
    /// `localStorageCapacityIsolation`: local storage is measured, reported and limited.
    pub(crate) local_storage: bool,
}

/// Settings of the HTTPS server, the read-only port and the health endpoint.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub(crate) enabled: bool,
    /// Address to listen on.
    pub(crate) address: IpAddr,
    /// TCP port; 0 (any) only in tests.
    pub(crate) port: u16,
    /// Port for unauthenticated read-only access; 0 disables it.
    pub(crate) read_only_port: u16,
    /// Address of the health endpoint.
    pub(crate) healthz_address: IpAddr,
    /// Port of the health endpoint; 0 disables it.
    pub(crate) healthz_port: u16,
    /// Serving certificate given by the user.
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    /// IANA names of allowed TLS 1.2 suites; empty for the default.
    pub(crate) cipher_suites: Vec<String>,
    /// TLS numbers of the offered curves; `None` for all.
    pub(crate) curves: Option<Vec<i64>>,
    /// Minimum TLS version, e.g. `VersionTLS12`; empty means 1.2.
    pub(crate) min_tls: String,
    /// CA bundle for verifying client certificates.
    pub(crate) client_ca: Option<PathBuf>,
    /// Requests without credentials are `system:anonymous`.
    pub(crate) anonymous: bool,
    /// Bearer tokens are reviewed by the API server.
    pub(crate) token_webhook: bool,
    /// How long the result of a token review is cached.
    pub(crate) token_cache: Duration,
    pub(crate) authorization_mode: String,
    /// How long an allowed access is cached.
    pub(crate) allow_cache: Duration,
    /// How long a denied access is cached.
    pub(crate) deny_cache: Duration,
    /// `enableDebuggingHandlers`: exec, attach, logs and the like.
    pub(crate) debugging: bool,
    pub(crate) system_log_handler: bool,
    pub(crate) system_log_query: bool,
    pub(crate) debug_flags: bool,
}

/// Defaults and limits of pods.
#[derive(Clone, Debug)]
pub struct PodSettings {
    /// Slow resync of a pod.
    pub(crate) sync_frequency: Duration,
    /// Longest back-off between restarts.
    pub(crate) max_restart_backoff: Duration,
    /// DNS servers of `ClusterFirst` pods.
    pub(crate) cluster_dns: Vec<IpAddr>,
    /// DNS domain of the cluster.
    pub(crate) cluster_domain: String,
    /// Base resolver configuration; empty means none.
    pub(crate) resolv_conf: String,
    /// `podPidsLimit`; negative for no limit.
    pub(crate) pids_limit: i64,
    /// Enforce CPU limits by a CPU quota (`cpuCFSQuota`).
    pub(crate) cpu_cfs_quota: bool,
    /// Period of the quota.
    pub(crate) cpu_cfs_period: Duration,
    /// Use `RuntimeDefault` seccomp for pods without a profile.
    pub(crate) seccomp_default: bool,
    /// Unsafe sysctls that pods may set; a trailing `*` matches any rest.
    pub(crate) allowed_unsafe_sysctls: Vec<String>,
    /// `memorySwap.swapBehavior`: empty, `NoSwap`, `LimitedSwap`.
    pub(crate) swap_behavior: String,
    pub(crate) single_process_oom_kill: bool,
    /// User ids per pod with a user namespace.
    pub(crate) user_namespace_ids: u32,
}

/// Pulling and garbage collection of images.
#[derive(Clone, Debug)]
pub struct ImageSettings {
    /// Pulls per second; 0 for no limit.
    pub(crate) pull_qps: u32,
    pub(crate) pull_burst: u32,
    /// Most concurrent pulls; `None` for no limit.
    pub(crate) max_parallel: Option<u32>,
    /// Images younger than this are not collected.
    pub(crate) minimum_age: Duration,
    /// Unused images older than this are collected; zero disables this.
    pub(crate) maximum_age: Duration,
    /// Disk usage in percent above which collection starts.
    pub(crate) gc_high: u8,
    /// Disk usage in percent at which collection stops.
    pub(crate) gc_low: u8,
    pub(crate) verification_policy: String,
    pub(crate) verification_allowlist: Vec<String>,
    pub(crate) credential_config: Option<PathBuf>,
    pub(crate) credential_bin_dir: Option<PathBuf>,
}

/// Rotation of container logs.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Size at which a log is rotated, a quantity such as `10Mi`.
    pub(crate) max_size: String,
    /// Files kept per container.
    pub(crate) max_files: u32,
    /// Most rotations at the same time.
    pub(crate) workers: u32,
    /// How often sizes are checked.
    pub(crate) interval: Duration,
}

/// Eviction thresholds and reservations; values are quantities or percentages as written.
#[derive(Clone, Debug)]
pub struct EvictionSettings {
    /// Hard thresholds by signal, defaults included.
    pub(crate) hard: BTreeMap<String, String>,
    pub(crate) soft: BTreeMap<String, String>,
    /// Grace period of each soft threshold.
    pub(crate) soft_grace: BTreeMap<String, Duration>,
    /// Least amount to reclaim, by signal.
    pub(crate) minimum_reclaim: BTreeMap<String, String>,
    /// How long a pressure condition lasts after its cause.
    pub(crate) transition: Duration,
    /// Longest grace period of a soft eviction, in seconds.
    pub(crate) max_pod_grace: i64,
    pub(crate) kube_reserved: BTreeMap<String, String>,
    pub(crate) system_reserved: BTreeMap<String, String>,
    pub(crate) enforce: Vec<String>,
    pub(crate) kube_reserved_cgroup: String,
    pub(crate) system_reserved_cgroup: String,
}

/// Graceful shutdown of the node.
#[derive(Clone, Debug)]
pub struct ShutdownSettings {
    /// Time for all pods; zero disables graceful shutdown.
    pub(crate) total: Duration,
    /// The last part of it, for critical pods.
    pub(crate) critical: Duration,
    /// Pairs of priority and seconds (`shutdownGracePeriodByPodPriority`); empty if not set.
    pub(crate) by_priority: Vec<(i32, u64)>,
}

/// Rate limits of the client of the API server.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    pub(crate) qps: u32,
    pub(crate) burst: u32,
    pub(crate) event_qps: u32,
    pub(crate) event_burst: u32,
}
