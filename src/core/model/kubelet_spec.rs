//! What the kubelet is to do, once flags, file and defaults have been merged and checked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;
use serde_json::Value;

/// The Kubernetes version whose contract this kubelet keeps.
pub const KUBERNETES_VERSION: &str = "v1.36.3";

/// All settings of the kubelet.
#[derive(Clone, Debug)]
pub struct KubeletSpec {
    /// Name of the Node object, lower case.
    pub node_name: String,
    /// Whether `node_name` was given rather than found.
    pub hostname_overridden: bool,
    /// Credentials for the API server; none means standalone.
    pub kubeconfig: Option<PathBuf>,
    /// Credentials that may only ask for a certificate.
    pub bootstrap_kubeconfig: Option<PathBuf>,
    /// Directories.
    pub dirs: Dirs,
    /// Sources of static pods.
    pub sources: Sources,
    /// Container runtime.
    pub runtime: RuntimeSettings,
    /// The Node object.
    pub node: NodeSettings,
    /// The HTTPS server and its companions.
    pub server: ServerSettings,
    /// Defaults and limits of pods.
    pub pods: PodSettings,
    /// Images and their garbage collection.
    pub images: ImageSettings,
    /// Log rotation.
    pub logs: LogSettings,
    /// Eviction and reservations.
    pub eviction: EvictionSettings,
    /// Graceful node shutdown.
    pub shutdown: ShutdownSettings,
    /// Client limits towards the API server.
    pub api: ApiSettings,
    /// Ask for a new client certificate before the old one ends.
    pub rotate_certificates: bool,
    /// Ask the cluster for a serving certificate.
    pub server_tls_bootstrap: bool,
    /// Log verbosity as upstream counts it (`-v`).
    pub verbosity: u8,
    /// Log lines are JSON (`logging.format`).
    pub json_log: bool,
    /// What is asked of the machine and of the kubelet's own process.
    pub host: HostSettings,
    /// How long the size of a volume is believed; none: volumes are not measured.
    pub volume_period: Option<Duration>,
    /// Flags that were given, sorted, as `/flagz` shows them.
    pub flags: Vec<(String, String)>,
    /// What is told of once, at the start: settings that are not carried out, and what happens instead.
    pub warnings: Vec<String>,
    /// The whole effective `KubeletConfiguration` with apiVersion and kind, as `/configz` shows it.
    pub effective: Value,
}

/// What is asked of the machine before anything runs, and of the kubelet's own process.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// `failSwapOn`.
    pub fail_swap_on: bool,
    /// `failCgroupV1`.
    pub fail_cgroup_v1: bool,
    /// `memorySwap.swapBehavior`: empty, `NoSwap`, `LimitedSwap`.
    pub swap_behavior: String,
    /// `singleProcessOOMKill` was set to false: a container without memory ends as a whole.
    pub ends_single_processes: bool,
    /// `reservedSystemCPUs`, a list in the kernel's form; empty for none.
    pub reserved_cpus: String,
    /// `protectKernelDefaults`: settings of the kernel are checked, not set.
    pub protect_kernel_defaults: bool,
    /// `makeIPTablesUtilChains`: the chain that tells others which iptables this node uses.
    pub iptables_hint: bool,
    /// `oom_score_adj` of the kubelet itself.
    pub oom_score_adj: i32,
    /// Files the kubelet may have open.
    pub max_open_files: u64,
    /// `--lock-file`.
    pub lock_file: Option<PathBuf>,
    /// `--exit-on-lock-contention`.
    pub exit_on_lock_contention: bool,
}

/// Directories the kubelet owns or reads.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// `--root-dir`, by default `/var/lib/kubelet`.
    pub root: PathBuf,
    /// `--cert-dir`, by default `/var/lib/kubelet/pki`.
    pub certs: PathBuf,
    /// `podLogsDir`.
    pub pod_logs: PathBuf,
}

/// Where static pods come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `staticPodPath`: a directory or one file.
    pub path: Option<PathBuf>,
    /// Slow re-list of the path.
    pub file_check: Duration,
    /// `staticPodURL`.
    pub url: Option<String>,
    /// Headers for the URL.
    pub url_headers: BTreeMap<String, Vec<String>>,
    /// How often the URL is read.
    pub http_check: Duration,
    /// `--static-pod-units`: each static pod has a systemd unit.
    pub units: bool,
    /// `--host-programs`: folders from which pods of the API may run programs as `host:…` and `nix:0…`.
    pub host_programs: Vec<PathBuf>,
}

/// The container runtime.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// CRI socket, e.g. `unix:///run/containerd/containerd.sock`.
    pub endpoint: String,
    /// Socket of the image service; that of the runtime by default.
    pub image_endpoint: String,
    /// General deadline of a call.
    pub timeout: Duration,
    /// `cgroupDriver`, used when the runtime cannot tell: `systemd` or `cgroupfs`.
    pub cgroup_driver: String,
    /// `cgroupRoot`.
    pub cgroup_root: String,
}

/// The Node object.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Create the Node if it is missing.
    pub register: bool,
    /// Labels set at registration.
    pub labels: BTreeMap<String, String>,
    /// Taints set at creation.
    pub taints: Vec<Taint>,
    /// `--node-ip`: none, one, or one of each family.
    pub ips: Vec<IpAddr>,
    /// `--cloud-provider=external`.
    pub external_cloud: bool,
    /// `spec.providerID`.
    pub provider_id: String,
    /// Pods the node takes.
    pub max_pods: u32,
    /// Pods per core; 0 means no such limit.
    pub pods_per_core: u32,
    /// Pod CIDR in standalone mode.
    pub pod_cidr: String,
    /// How often the status is computed.
    pub status_update: Duration,
    /// How often an unchanged status is sent.
    pub status_report: Duration,
    /// Duration of the node lease in seconds.
    pub lease_seconds: i32,
    /// Images listed in the status; negative means all.
    pub max_images: i64,
    /// Attach and detach is done by the controller manager.
    pub controller_attach_detach: bool,
    /// `localStorageCapacityIsolation`: local storage is counted, offered and limited.
    pub local_storage: bool,
}

/// The HTTPS server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// Address to listen on.
    pub address: IpAddr,
    /// Port; 0 only in tests.
    pub port: u16,
    /// Plain read-only port; 0 means off.
    pub read_only_port: u16,
    /// Address of the health endpoint.
    pub healthz_address: IpAddr,
    /// Port of the health endpoint; 0 means off.
    pub healthz_port: u16,
    /// Serving certificate given by the user.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// IANA names of allowed TLS 1.2 suites; empty means the default.
    pub cipher_suites: Vec<String>,
    /// Numbers of the curves that are offered, in TLS; none means all.
    pub curves: Option<Vec<i64>>,
    /// Least TLS version, e.g. `VersionTLS12`; empty means 1.2.
    pub min_tls: String,
    /// CA that client certificates are checked against.
    pub client_ca: Option<PathBuf>,
    /// Requests without credentials are `system:anonymous`.
    pub anonymous: bool,
    /// Bearer tokens are reviewed by the API server.
    pub token_webhook: bool,
    /// How long a token review holds.
    pub token_cache: Duration,
    /// `Webhook` or `AlwaysAllow`.
    pub authorization_mode: String,
    /// How long an allowed access holds.
    pub allow_cache: Duration,
    /// How long a denied access holds.
    pub deny_cache: Duration,
    /// exec, attach, logs and the like.
    pub debugging: bool,
    /// `/logs/`.
    pub system_log_handler: bool,
    /// `/logs/?query=`.
    pub system_log_query: bool,
    /// `PUT /debug/flags/v`.
    pub debug_flags: bool,
}

/// Defaults and limits of pods.
#[derive(Clone, Debug)]
pub struct PodSettings {
    /// Slow resync of a pod.
    pub sync_frequency: Duration,
    /// Longest back-off between restarts.
    pub max_restart_backoff: Duration,
    /// DNS servers of `ClusterFirst` pods.
    pub cluster_dns: Vec<IpAddr>,
    /// DNS domain of the cluster.
    pub cluster_domain: String,
    /// Base resolver configuration; empty means none.
    pub resolv_conf: String,
    /// `podPidsLimit`; negative means none.
    pub pids_limit: i64,
    /// CPU quota is set from limits.
    pub cpu_cfs_quota: bool,
    /// Period of the quota.
    pub cpu_cfs_period: Duration,
    /// `RuntimeDefault` seccomp for pods that say nothing.
    pub seccomp_default: bool,
    /// Unsafe sysctls that pods may set; a trailing `*` matches any rest.
    pub allowed_unsafe_sysctls: Vec<String>,
    /// `memorySwap.swapBehavior`: empty, `NoSwap`, `LimitedSwap`.
    pub swap_behavior: String,
    /// `singleProcessOOMKill`.
    pub single_process_oom_kill: bool,
    /// User ids per pod with a user namespace.
    pub user_namespace_ids: u32,
}

/// Images.
#[derive(Clone, Debug)]
pub struct ImageSettings {
    /// Pulls per second; 0 means no limit.
    pub pull_qps: u32,
    /// Burst of pulls.
    pub pull_burst: u32,
    /// Most pulls at the same time; none means no limit.
    pub max_parallel: Option<u32>,
    /// Youngest image that is collected.
    pub minimum_age: Duration,
    /// Unused images older than this are collected; zero means never.
    pub maximum_age: Duration,
    /// Usage in per cent at which collection begins.
    pub gc_high: u8,
    /// Usage in per cent at which it ends.
    pub gc_low: u8,
    /// `imagePullCredentialsVerificationPolicy`.
    pub verification_policy: String,
    /// `preloadedImagesVerificationAllowlist`.
    pub verification_allowlist: Vec<String>,
    /// `--image-credential-provider-config`.
    pub credential_config: Option<PathBuf>,
    /// `--image-credential-provider-bin-dir`.
    pub credential_bin_dir: Option<PathBuf>,
}

/// Container logs.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Quantity, e.g. `10Mi`.
    pub max_size: String,
    /// Files kept per container.
    pub max_files: u32,
    /// Rotations at the same time.
    pub workers: u32,
    /// How often sizes are checked.
    pub interval: Duration,
}

/// Eviction and reservations; values are quantities or percentages as written.
#[derive(Clone, Debug)]
pub struct EvictionSettings {
    /// Hard thresholds by signal, defaults included.
    pub hard: BTreeMap<String, String>,
    /// Soft thresholds.
    pub soft: BTreeMap<String, String>,
    /// Grace of soft thresholds.
    pub soft_grace: BTreeMap<String, Duration>,
    /// Least amount to reclaim.
    pub minimum_reclaim: BTreeMap<String, String>,
    /// How long a pressure condition stays.
    pub transition: Duration,
    /// Most grace of a soft eviction, in seconds.
    pub max_pod_grace: i64,
    /// `kubeReserved`.
    pub kube_reserved: BTreeMap<String, String>,
    /// `systemReserved`.
    pub system_reserved: BTreeMap<String, String>,
    /// `enforceNodeAllocatable`.
    pub enforce: Vec<String>,
    /// `kubeReservedCgroup`.
    pub kube_reserved_cgroup: String,
    /// `systemReservedCgroup`.
    pub system_reserved_cgroup: String,
}

/// Graceful shutdown of the node.
#[derive(Clone, Debug)]
pub struct ShutdownSettings {
    /// Time for all pods; zero means off.
    pub total: Duration,
    /// Its last part, for critical pods.
    pub critical: Duration,
    /// Priority and seconds, if given by priority.
    pub by_priority: Vec<(i32, u64)>,
}

/// Client limits.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Requests per second.
    pub qps: u32,
    /// Burst of requests.
    pub burst: u32,
    /// Events per second.
    pub event_qps: u32,
    /// Burst of events.
    pub event_burst: u32,
}
