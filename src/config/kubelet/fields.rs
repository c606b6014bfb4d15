//! The table of `KubeletConfiguration` v1beta1: every field with its type, default and flag.
//!
//! Sources: `k8s.io/kubelet/config/v1beta1/types.go` (names), `pkg/kubelet/apis/config/v1beta1/defaults.go` (defaults),
//! `cmd/kubelet/app/options/options.go` (flags), those of v1.36.3 and v1.37.2 together.

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Float,
    Text,
    /// Go's duration, e.g. `1m30s`.
    Duration,
    /// A duration that may be negative, which disables something.
    SignedDuration,
    /// A duration, or a number of nanoseconds.
    Nanoseconds,
    /// A quantity such as `10Mi`, or a number.
    Quantity,
    /// A list of strings; as a flag, separated by commas.
    List,
    /// Strings by name; as a flag, `a=b,c=d`.
    Map,
    /// Strings by name; as a flag, `a<b,c<d` (eviction thresholds).
    LessMap,
    BoolMap,
    /// An object or list that is checked where it is used.
    Json,
}

/// One field of the configuration file.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Path in the file, separated by dots.
    pub path: &'static str,
    pub kind: Kind,
    /// Default as JSON; empty if there is none.
    pub default: &'static str,
    /// True if a zero value counts as not set (fields that are not pointers upstream).
    pub zero_is_unset: bool,
    /// Flag that overrides the field, without dashes; empty if there is none.
    pub flag: &'static str,
}

const fn none(path: &'static str, kind: Kind, flag: &'static str) -> Field {
    Field { path, kind, default: "", zero_is_unset: false, flag }
}

/// A pointer field: an explicit zero is kept.
const fn ptr(path: &'static str, kind: Kind, default: &'static str, flag: &'static str) -> Field {
    Field { path, kind, default, zero_is_unset: false, flag }
}

/// A plain field: zero means the default.
const fn val(path: &'static str, kind: Kind, default: &'static str, flag: &'static str) -> Field {
    Field { path, kind, default, zero_is_unset: true, flag }
}

use Kind::{
    Bool, BoolMap, Duration, Float, Int, Json, LessMap, List, Map, Nanoseconds, Quantity, SignedDuration, Text,
};

/// Every field of the file.
pub const FIELDS: &[Field] = &[
    ptr("enableServer", Bool, "true", "enable-server"),
    none("staticPodPath", Text, "pod-manifest-path"),
    val("podLogsDir", Text, "\"/var/log/pods\"", ""),
    val("syncFrequency", Duration, "\"1m0s\"", "sync-frequency"),
    val("fileCheckFrequency", Duration, "\"20s\"", "file-check-frequency"),
    val("httpCheckFrequency", Duration, "\"20s\"", "http-check-frequency"),
    none("staticPodURL", Text, "manifest-url"),
    none("staticPodURLHeader", Json, ""),
    val("address", Text, "\"0.0.0.0\"", "address"),
    val("port", Int, "10250", "port"),
    none("readOnlyPort", Int, "read-only-port"),
    none("tlsCertFile", Text, "tls-cert-file"),
    none("tlsPrivateKeyFile", Text, "tls-private-key-file"),
    none("tlsCipherSuites", List, "tls-cipher-suites"),
    none("tlsCurvePreferences", Json, ""),
    none("tlsMinVersion", Text, "tls-min-version"),
    none("rotateCertificates", Bool, "rotate-certificates"),
    none("serverTLSBootstrap", Bool, "rotate-server-certificates"),
    none("authentication.x509.clientCAFile", Text, "client-ca-file"),
    ptr("authentication.webhook.enabled", Bool, "true", "authentication-token-webhook"),
    val("authentication.webhook.cacheTTL", Duration, "\"2m0s\"", "authentication-token-webhook-cache-ttl"),
    ptr("authentication.anonymous.enabled", Bool, "false", "anonymous-auth"),
    val("authorization.mode", Text, "\"Webhook\"", "authorization-mode"),
    val("authorization.webhook.cacheAuthorizedTTL", Duration, "\"5m0s\"", "authorization-webhook-cache-authorized-ttl"),
    val(
        "authorization.webhook.cacheUnauthorizedTTL",
        Duration,
        "\"30s\"",
        "authorization-webhook-cache-unauthorized-ttl",
    ),
    ptr("registryPullQPS", Int, "5", "registry-qps"),
    val("registryBurst", Int, "10", "registry-burst"),
    val("imagePullCredentialsVerificationPolicy", Text, "\"NeverVerifyPreloadedImages\"", ""),
    none("preloadedImagesVerificationAllowlist", List, ""),
    ptr("eventRecordQPS", Int, "50", "event-qps"),
    val("eventBurst", Int, "100", "event-burst"),
    ptr("enableDebuggingHandlers", Bool, "true", "enable-debugging-handlers"),
    none("enableContentionProfiling", Bool, "contention-profiling"),
    ptr("healthzPort", Int, "10248", "healthz-port"),
    val("healthzBindAddress", Text, "\"127.0.0.1\"", "healthz-bind-address"),
    ptr("oomScoreAdj", Int, "-999", "oom-score-adj"),
    none("clusterDomain", Text, "cluster-domain"),
    none("clusterDNS", List, "cluster-dns"),
    val("streamingConnectionIdleTimeout", Duration, "\"4h0m0s\"", "streaming-connection-idle-timeout"),
    val("nodeStatusUpdateFrequency", Duration, "\"10s\"", "node-status-update-frequency"),
    val("nodeStatusReportFrequency", Duration, "\"5m0s\"", ""),
    val("nodeLeaseDurationSeconds", Int, "40", ""),
    val("imageMinimumGCAge", Duration, "\"2m0s\"", "minimum-image-ttl-duration"),
    ptr("imageMaximumGCAge", Duration, "\"0s\"", ""),
    ptr("imageGCHighThresholdPercent", Int, "85", "image-gc-high-threshold"),
    ptr("imageGCLowThresholdPercent", Int, "80", "image-gc-low-threshold"),
    val("volumeStatsAggPeriod", SignedDuration, "\"1m0s\"", "volume-stats-agg-period"),
    none("kubeletCgroups", Text, "kubelet-cgroups"),
    none("systemCgroups", Text, "system-cgroups"),
    none("cgroupRoot", Text, "cgroup-root"),
    ptr("cgroupsPerQOS", Bool, "true", "cgroups-per-qos"),
    val("cgroupDriver", Text, "\"cgroupfs\"", "cgroup-driver"),
    val("cpuManagerPolicy", Text, "\"none\"", "cpu-manager-policy"),
    none("singleProcessOOMKill", Bool, ""),
    none("cpuManagerPolicyOptions", Map, "cpu-manager-policy-options"),
    val("cpuManagerReconcilePeriod", Duration, "\"10s\"", "cpu-manager-reconcile-period"),
    val("memoryManagerPolicy", Text, "\"None\"", "memory-manager-policy"),
    val("topologyManagerPolicy", Text, "\"none\"", "topology-manager-policy"),
    val("topologyManagerScope", Text, "\"container\"", "topology-manager-scope"),
    none("topologyManagerPolicyOptions", Map, "topology-manager-policy-options"),
    none("qosReserved", Map, "qos-reserved"),
    val("runtimeRequestTimeout", Duration, "\"2m0s\"", "runtime-request-timeout"),
    val("hairpinMode", Text, "\"promiscuous-bridge\"", "hairpin-mode"),
    val("maxPods", Int, "110", "max-pods"),
    none("podCIDR", Text, "pod-cidr"),
    ptr("podPidsLimit", Int, "-1", "pod-max-pids"),
    ptr("resolvConf", Text, "\"/etc/resolv.conf\"", "resolv-conf"),
    none("runOnce", Bool, "runonce"),
    ptr("cpuCFSQuota", Bool, "true", "cpu-cfs-quota"),
    ptr("cpuCFSQuotaPeriod", Duration, "\"100ms\"", "cpu-cfs-quota-period"),
    ptr("nodeStatusMaxImages", Int, "50", "node-status-max-images"),
    val("maxOpenFiles", Int, "1000000", "max-open-files"),
    val("contentType", Text, "\"application/vnd.kubernetes.protobuf\"", "kube-api-content-type"),
    ptr("kubeAPIQPS", Int, "50", "kube-api-qps"),
    val("kubeAPIBurst", Int, "100", "kube-api-burst"),
    none("serializeImagePulls", Bool, "serialize-image-pulls"),
    none("maxParallelImagePulls", Int, ""),
    none("evictionHard", LessMap, "eviction-hard"),
    none("evictionSoft", LessMap, "eviction-soft"),
    none("evictionSoftGracePeriod", Map, "eviction-soft-grace-period"),
    val("evictionPressureTransitionPeriod", Duration, "\"5m0s\"", "eviction-pressure-transition-period"),
    none("evictionMaxPodGracePeriod", Int, "eviction-max-pod-grace-period"),
    none("evictionMinimumReclaim", Map, "eviction-minimum-reclaim"),
    ptr("mergeDefaultEvictionSettings", Bool, "false", ""),
    none("podsPerCore", Int, "pods-per-core"),
    ptr("enableControllerAttachDetach", Bool, "true", "enable-controller-attach-detach"),
    none("protectKernelDefaults", Bool, "protect-kernel-defaults"),
    ptr("makeIPTablesUtilChains", Bool, "true", "make-iptables-util-chains"),
    ptr("iptablesMasqueradeBit", Int, "14", "iptables-masquerade-bit"),
    ptr("iptablesDropBit", Int, "15", "iptables-drop-bit"),
    none("featureGates", BoolMap, "feature-gates"),
    ptr("failSwapOn", Bool, "true", "fail-swap-on"),
    none("memorySwap.swapBehavior", Text, ""),
    val("containerLogMaxSize", Text, "\"10Mi\"", "container-log-max-size"),
    ptr("containerLogMaxFiles", Int, "5", "container-log-max-files"),
    ptr("containerLogMaxWorkers", Int, "1", ""),
    ptr("containerLogMonitorInterval", Duration, "\"10s\"", ""),
    val("configMapAndSecretChangeDetectionStrategy", Text, "\"Watch\"", ""),
    none("systemReserved", Map, "system-reserved"),
    none("kubeReserved", Map, "kube-reserved"),
    none("reservedSystemCPUs", Text, "reserved-cpus"),
    none("showHiddenMetricsForVersion", Text, "show-hidden-metrics-for-version"),
    none("systemReservedCgroup", Text, "system-reserved-cgroup"),
    none("kubeReservedCgroup", Text, "kube-reserved-cgroup"),
    ptr("enforceNodeAllocatable", List, "[\"pods\"]", "enforce-node-allocatable"),
    none("allowedUnsafeSysctls", List, "allowed-unsafe-sysctls"),
    val("volumePluginDir", Text, "\"/usr/libexec/kubernetes/kubelet-plugins/volume/exec/\"", "volume-plugin-dir"),
    none("providerID", Text, "provider-id"),
    none("kernelMemcgNotification", Bool, "kernel-memcg-notification"),
    val("logging.format", Text, "\"text\"", "logging-format"),
    val("logging.flushFrequency", Nanoseconds, "\"5s\"", "log-flush-frequency"),
    ptr("logging.verbosity", Int, "0", ""),
    none("logging.vmodule", Json, ""),
    none("logging.options.text.splitStream", Bool, "log-text-split-stream"),
    ptr("logging.options.text.infoBufferSize", Quantity, "\"0\"", "log-text-info-buffer-size"),
    none("logging.options.json.splitStream", Bool, "log-json-split-stream"),
    ptr("logging.options.json.infoBufferSize", Quantity, "\"0\"", "log-json-info-buffer-size"),
    ptr("enableSystemLogHandler", Bool, "true", ""),
    none("enableSystemLogQuery", Bool, ""),
    ptr("shutdownGracePeriod", Duration, "\"0s\"", ""),
    ptr("shutdownGracePeriodCriticalPods", Duration, "\"0s\"", ""),
    none("shutdownGracePeriodByPodPriority", Json, ""),
    ptr("crashLoopBackOff.maxContainerRestartPeriod", Duration, "\"5m0s\"", ""),
    none("reservedMemory", Json, ""),
    ptr("enableProfilingHandler", Bool, "true", ""),
    ptr("enableDebugFlagsHandler", Bool, "true", ""),
    ptr("seccompDefault", Bool, "false", "seccomp-default"),
    // Its default depends on the version.
    none("memoryThrottlingFactor", Float, ""),
    val("memoryReservationPolicy", Text, "\"None\"", ""),
    none("registerWithTaints", Json, ""),
    ptr("registerNode", Bool, "true", "register-node"),
    none("tracing.endpoint", Text, ""),
    none("tracing.samplingRatePerMillion", Int, ""),
    ptr("localStorageCapacityIsolation", Bool, "true", "local-storage-capacity-isolation"),
    val("containerRuntimeEndpoint", Text, "\"unix:///run/containerd/containerd.sock\"", "container-runtime-endpoint"),
    none("imageServiceEndpoint", Text, "image-service-endpoint"),
    ptr("failCgroupV1", Bool, "true", "fail-cgroupv1"),
    none("userNamespaces.idsPerPod", Int, ""),
];

/// Fields with an object, or a list of objects, that is checked where it is used: the fields of the objects.
pub const PARTS: &[(&str, &[&str])] = &[
    ("logging.vmodule", &["filePattern", "verbosity"]),
    ("registerWithTaints", &["key", "value", "effect", "timeAdded"]),
    ("reservedMemory", &["numaNode", "limits"]),
    ("shutdownGracePeriodByPodPriority", &["priority", "shutdownGracePeriodSeconds"]),
];

/// The field with this path; `None` if there is none.
pub fn find(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == path)
}
