//! What the kubelet is to do, once flags, file and defaults have been merged and checked.
//!
//! Members are the crate's own, so that the compiler rejects one that is never read: no setting is ignored silently. What the
//! program itself reads is public.

#![deny(dead_code)]

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
    pub(crate) node_name: String,
    /// Credentials for the API server; none means standalone.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Credentials that may only ask for a certificate.
    pub(crate) bootstrap_kubeconfig: Option<PathBuf>,
    /// Directories.
    pub(crate) dirs: Dirs,
    /// Sources of static pods.
    pub(crate) sources: Sources,
    /// Container runtime.
    pub(crate) runtime: RuntimeSettings,
    /// The Node object.
    pub(crate) node: NodeSettings,
    /// The HTTPS server and its companions.
    pub(crate) server: ServerSettings,
    /// Defaults and limits of pods.
    pub(crate) pods: PodSettings,
    /// Images and their garbage collection.
    pub(crate) images: ImageSettings,
    /// Log rotation.
    pub(crate) logs: LogSettings,
    /// Eviction and reservations.
    pub(crate) eviction: EvictionSettings,
    /// Graceful node shutdown.
    pub(crate) shutdown: ShutdownSettings,
    /// Client limits towards the API server.
    pub(crate) api: ApiSettings,
    /// Ask for a new client certificate before the old one ends.
    pub(crate) rotate_certificates: bool,
    /// Ask the cluster for a serving certificate.
    pub(crate) server_tls_bootstrap: bool,
    /// Log verbosity as upstream counts it (`-v`).
    pub verbosity: u8,
    /// Log lines are JSON (`logging.format`).
    pub json_log: bool,
    /// What is asked of the machine and of the kubelet's own process.
    pub(crate) host: HostSettings,
    /// How long a volume size is cached; none: volumes are not measured.
    pub(crate) volume_period: Option<Duration>,
    /// Flags that were given, sorted, as `/flagz` shows them.
    pub(crate) flags: Vec<(String, String)>,
    /// What is reported once, at the start: settings that are not carried out, and what happens instead.
    pub warnings: Vec<String>,
    /// The whole effective `KubeletConfiguration` with apiVersion and kind, as `/configz` shows it.
    pub(crate) effective: Value,
}

/// What is asked of the machine before anything runs, and of the kubelet's own process.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// `failSwapOn`.
    pub(crate) fail_swap_on: bool,
    /// `failCgroupV1`.
    pub(crate) fail_cgroup_v1: bool,
    /// `memorySwap.swapBehavior`: empty, `NoSwap`, `LimitedSwap`.
    pub(crate) swap_behavior: String,
    /// `singleProcessOOMKill` was set to false: a container without memory ends as a whole.
    pub(crate) ends_single_processes: bool,
    /// `reservedSystemCPUs`, a list in the kernel's form; empty for none.
    pub(crate) reserved_cpus: String,
    /// `protectKernelDefaults`: settings of the kernel are checked, not set.
    pub(crate) protect_kernel_defaults: bool,
    /// `makeIPTablesUtilChains`: the chain that shows others which iptables this node uses.
    pub(crate) iptables_hint: bool,
    /// `oom_score_adj` of the kubelet itself.
    pub(crate) oom_score_adj: i32,
    /// Files the kubelet may have open.
    pub(crate) max_open_files: u64,
    /// `--lock-file`.
    pub(crate) lock_file: Option<PathBuf>,
    /// `--exit-on-lock-contention`.
    pub(crate) exit_on_lock_contention: bool,
}

/// Directories the kubelet owns or reads.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// `--root-dir`, by default `/var/lib/kubelet`.
    pub(crate) root: PathBuf,
    /// `--cert-dir`, by default `/var/lib/kubelet/pki`.
    pub(crate) certs: PathBuf,
    /// `podLogsDir`.
    pub(crate) pod_logs: PathBuf,
}

/// Where static pods come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `staticPodPath`: a directory or one file.
    pub(crate) path: Option<PathBuf>,
    /// Slow re-list of the path.
    pub(crate) file_check: Duration,
    /// `staticPodURL`.
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

/// The container runtime.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// CRI socket, e.g. `unix:///run/containerd/containerd.sock`.
    pub(crate) endpoint: String,
    /// Socket of the image service; that of the runtime by default.
    pub(crate) image_endpoint: String,
    /// General deadline of a call.
    pub(crate) timeout: Duration,
    /// `cgroupDriver`, used when the runtime cannot tell: `systemd` or `cgroupfs`.
    pub(crate) cgroup_driver: String,
    /// `cgroupRoot`.
    pub(crate) cgroup_root: String,
}

/// The Node object.
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
    /// `--cloud-provider=external`.
    pub(crate) external_cloud: bool,
    /// `spec.providerID`.
    pub(crate) provider_id: String,
    /// Pods the node takes.
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
    /// Attach and detach is done by the controller manager.
    pub(crate) controller_attach_detach: bool,
    /// `localStorageCapacityIsolation`: local storage is counted, offered and limited.
    pub(crate) local_storage: bool,
}

/// The HTTPS server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Whether it runs.
    pub(crate) enabled: bool,
    /// Address to listen on.
    pub(crate) address: IpAddr,
    /// Port; 0 only in tests.
    pub(crate) port: u16,
    /// Plain read-only port; 0 means off.
    pub(crate) read_only_port: u16,
    /// Address of the health endpoint.
    pub(crate) healthz_address: IpAddr,
    /// Port of the health endpoint; 0 means off.
    pub(crate) healthz_port: u16,
    /// Serving certificate given by the user.
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key.
    pub(crate) tls_key: Option<PathBuf>,
    /// IANA names of allowed TLS 1.2 suites; empty means the default.
    pub(crate) cipher_suites: Vec<String>,
    /// Numbers of the curves that are offered, in TLS; none means all.
    pub(crate) curves: Option<Vec<i64>>,
    /// Least TLS version, e.g. `VersionTLS12`; empty means 1.2.
    pub(crate) min_tls: String,
    /// CA that client certificates are checked against.
    pub(crate) client_ca: Option<PathBuf>,
    /// Requests without credentials are `system:anonymous`.
    pub(crate) anonymous: bool,
    /// Bearer tokens are reviewed by the API server.
    pub(crate) token_webhook: bool,
    /// How long a token review holds.
    pub(crate) token_cache: Duration,
    /// `Webhook` or `AlwaysAllow`.
    pub(crate) authorization_mode: String,
    /// How long an allowed access holds.
    pub(crate) allow_cache: Duration,
    /// How long a denied access holds.
    pub(crate) deny_cache: Duration,
    /// exec, attach, logs and the like.
    pub(crate) debugging: bool,
    /// `/logs/`.
    pub(crate) system_log_handler: bool,
    /// `/logs/?query=`.
    pub(crate) system_log_query: bool,
    /// `PUT /debug/flags/v`.
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
    /// `podPidsLimit`; negative means none.
    pub(crate) pids_limit: i64,
    /// CPU quota is set from limits.
    pub(crate) cpu_cfs_quota: bool,
    /// Period of the quota.
    pub(crate) cpu_cfs_period: Duration,
    /// `RuntimeDefault` seccomp for pods that say nothing.
    pub(crate) seccomp_default: bool,
    /// Unsafe sysctls that pods may set; a trailing `*` matches any rest.
    pub(crate) allowed_unsafe_sysctls: Vec<String>,
    /// `memorySwap.swapBehavior`: empty, `NoSwap`, `LimitedSwap`.
    pub(crate) swap_behavior: String,
    /// `singleProcessOOMKill`.
    pub(crate) single_process_oom_kill: bool,
    /// User ids per pod with a user namespace.
    pub(crate) user_namespace_ids: u32,
}

/// Images.
#[derive(Clone, Debug)]
pub struct ImageSettings {
    /// Pulls per second; 0 means no limit.
    pub(crate) pull_qps: u32,
    /// Burst of pulls.
    pub(crate) pull_burst: u32,
    /// Most pulls at the same time; none means no limit.
    pub(crate) max_parallel: Option<u32>,
    /// Youngest image that is collected.
    pub(crate) minimum_age: Duration,
    /// Unused images older than this are collected; zero means never.
    pub(crate) maximum_age: Duration,
    /// Usage in per cent at which collection begins.
    pub(crate) gc_high: u8,
    /// Usage in per cent at which it ends.
    pub(crate) gc_low: u8,
    /// `imagePullCredentialsVerificationPolicy`.
    pub(crate) verification_policy: String,
    /// `preloadedImagesVerificationAllowlist`.
    pub(crate) verification_allowlist: Vec<String>,
    /// `--image-credential-provider-config`.
    pub(crate) credential_config: Option<PathBuf>,
    /// `--image-credential-provider-bin-dir`.
    pub(crate) credential_bin_dir: Option<PathBuf>,
}

/// Container logs.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Quantity, e.g. `10Mi`.
    pub(crate) max_size: String,
    /// Files kept per container.
    pub(crate) max_files: u32,
    /// Rotations at the same time.
    pub(crate) workers: u32,
    /// How often sizes are checked.
    pub(crate) interval: Duration,
}

/// Eviction and reservations; values are quantities or percentages as written.
#[derive(Clone, Debug)]
pub struct EvictionSettings {
    /// Hard thresholds by signal, defaults included.
    pub(crate) hard: BTreeMap<String, String>,
    /// Soft thresholds.
    pub(crate) soft: BTreeMap<String, String>,
    /// Grace of soft thresholds.
    pub(crate) soft_grace: BTreeMap<String, Duration>,
    /// Least amount to reclaim.
    pub(crate) minimum_reclaim: BTreeMap<String, String>,
    /// How long a pressure condition stays.
    pub(crate) transition: Duration,
    /// Most grace of a soft eviction, in seconds.
    pub(crate) max_pod_grace: i64,
    /// `kubeReserved`.
    pub(crate) kube_reserved: BTreeMap<String, String>,
    /// `systemReserved`.
    pub(crate) system_reserved: BTreeMap<String, String>,
    /// `enforceNodeAllocatable`.
    pub(crate) enforce: Vec<String>,
    /// `kubeReservedCgroup`.
    pub(crate) kube_reserved_cgroup: String,
    /// `systemReservedCgroup`.
    pub(crate) system_reserved_cgroup: String,
}

/// Graceful shutdown of the node.
#[derive(Clone, Debug)]
pub struct ShutdownSettings {
    /// Time for all pods; zero means off.
    pub(crate) total: Duration,
    /// Its last part, for critical pods.
    pub(crate) critical: Duration,
    /// Priority and seconds, if given by priority.
    pub(crate) by_priority: Vec<(i32, u64)>,
}

/// Client limits.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Requests per second.
    pub(crate) qps: u32,
    /// Burst of requests.
    pub(crate) burst: u32,
    /// Events per second.
    pub(crate) event_qps: u32,
    /// Burst of events.
    pub(crate) event_burst: u32,
}
