//! Types the merged configuration: from JSON to [`KubeletSpec`], with every fault at its field.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;
use serde_json::{Value, json};

use super::document::get;
use super::duration::parse_duration;
use super::findings::Findings;
use super::flags::Flags;
use super::validate::{is_label_value, is_qualified_name};
use crate::core::evict::parse_thresholds;
use crate::core::host::parse_cpus;
use crate::core::model::Release;
use crate::core::model::json::put;
use crate::core::model::kubelet_spec::{
    ApiSettings, Dirs, EvictionSettings, HostSettings, ImageSettings, KubeletSpec, LogSettings, NodeSettings,
    PodSettings, RuntimeSettings, ServerSettings, ShutdownSettings, Sources,
};

/// Hard eviction thresholds on Linux (`pkg/kubelet/eviction/defaults_linux.go`).
const DEFAULT_HARD: &[(&str, &str)] = &[
    ("memory.available", "100Mi"),
    ("nodefs.available", "10%"),
    ("nodefs.inodesFree", "5%"),
    ("imagefs.available", "15%"),
    ("imagefs.inodesFree", "5%"),
];

/// Longest back-off if no setting limits it (`pkg/kubelet/kubelet.go`, `MaxCrashLoopBackOff`).
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// Reads fields of a document that was checked and has defaults.
struct Reader<'a> {
    value: &'a Value,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn bool(&self, path: &str) -> bool {
        get(self.value, path).and_then(Value::as_bool).unwrap_or_default()
    }
    fn text(&self, path: &str) -> String {
        get(self.value, path).and_then(Value::as_str).unwrap_or_default().to_string()
    }
    fn path(&self, path: &str) -> Option<PathBuf> {
        Some(self.text(path)).filter(|t| !t.is_empty()).map(PathBuf::from)
    }
    fn duration(&self, path: &str) -> Duration {
        parse_duration(&self.text(path)).unwrap_or_default()
    }
    fn list(&self, path: &str) -> Vec<String> {
        let items = get(self.value, path).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(String::from).collect()
    }
    fn map(&self, path: &str) -> BTreeMap<String, String> {
        let entries = get(self.value, path).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_string()))).collect()
    }
    fn int<T: TryFrom<i64> + Default>(&mut self, path: &str) -> T {
        let number = get(self.value, path).and_then(Value::as_i64).unwrap_or_default();
        T::try_from(number).unwrap_or_else(|_| {
            if !self.findings.is_faulty(path) {
                self.findings.fault(path, format!("{number} is out of range"));
            }
            T::default()
        })
    }
    fn ip(&mut self, path: &str) -> IpAddr {
        let text = self.text(path);
        text.parse().unwrap_or_else(|_| {
            self.findings.fault(path, format!("{text:?} is not an IP address"));
            IpAddr::from([127, 0, 0, 1])
        })
    }
    fn ips(&mut self, path: &str) -> Vec<IpAddr> {
        let texts = self.list(path);
        texts.iter().filter_map(|text| parse_ip(text, path, self.findings)).collect()
    }
    fn json<T: serde::de::DeserializeOwned + Default>(&mut self, path: &str) -> T {
        let Some(value) = get(self.value, path) else { return T::default() };
        T::deserialize(value).unwrap_or_else(|e| {
            self.findings.fault(path, e.to_string());
            T::default()
        })
    }
}

fn parse_ip(text: &str, name: &str, findings: &mut Findings) -> Option<IpAddr> {
    let ip = text.trim().parse().ok();
    if ip.is_none() {
        findings.fault(name, format!("{text:?} is not an IP address"));
    }
    ip
}

/// Parses `key=value:effect,...` into a list of taints.
pub(super) fn parse_taints(text: &str) -> Result<Value, String> {
    text.split(',')
        .filter(|t| !t.is_empty())
        .map(|taint| {
            let (rest, effect) =
                taint.rsplit_once(':').ok_or_else(|| format!("want key=value:effect, got {taint:?}"))?;
            let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
            if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) || key.is_empty() {
                return Err(format!("want key=value:effect, got {taint:?}"));
            }
            let mut json = json!({"key": key, "effect": effect});
            if !value.is_empty() {
                put(&mut json, &["value"], value);
            }
            Ok(json)
        })
        .collect()
}

fn parse_labels(text: &str, findings: &mut Findings) -> BTreeMap<String, String> {
    const FLAG: &str = "--node-labels";
    let mut labels = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        // As in upstream's flag, a name alone is a label without a value.
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !node_label_allowed(key) {
            let text = format!(
                "{key:?} is reserved; a kubelet may set kubelet.kubernetes.io/*, node.kubernetes.io/* and its well-known \
                 labels"
            );
            findings.fault(FLAG, text);
        }
        if !is_qualified_name(key) || !is_label_value(value) {
            findings.fault(FLAG, format!("{pair:?} is not a label"));
        }
        labels.insert(key.to_string(), value.to_string());
    }
    labels
}

/// True for labels of the kubernetes domains that NodeRestriction lets a node set on itself
/// (`pkg/kubelet/apis/well_known_labels.go`).
fn node_label_allowed(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return true };
    let within = |suffix: &str| domain == suffix || domain.ends_with(&format!(".{suffix}"));
    if !within("kubernetes.io") && !within("k8s.io") {
        return true;
    }
    const KNOWN: &[&str] = &[
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
    ];
    KNOWN.contains(&key) || within("kubelet.kubernetes.io") || within("node.kubernetes.io")
}

fn eviction(r: &mut Reader<'_>) -> EvictionSettings {
    let given = r.map("evictionHard");
    let keep_defaults = r.bool("mergeDefaultEvictionSettings") || get(r.value, "evictionHard").is_none();
    let mut hard: BTreeMap<String, String> = BTreeMap::new();
    if keep_defaults {
        hard.extend(DEFAULT_HARD.iter().map(|(k, v)| (k.to_string(), v.to_string())));
    }
    hard.extend(given);
    let mut soft_grace = BTreeMap::new();
    for (signal, text) in r.map("evictionSoftGracePeriod") {
        match parse_duration(&text) {
            Ok(grace) => drop(soft_grace.insert(signal, grace)),
            Err(e) => r.findings.fault(&format!("evictionSoftGracePeriod.{signal}"), e),
        }
    }
    let (mut kube_reserved, mut system_reserved) = (r.map("kubeReserved"), r.map("systemReserved"));
    let reserved_cpus = r.text("reservedSystemCPUs");
    if !reserved_cpus.is_empty() {
        match parse_cpus(&reserved_cpus).map(|cpus| cpus.len()) {
            // It replaces both amounts of CPU, as upstream's `--reserved-cpus`.
            Some(count) => {
                kube_reserved.remove("cpu");
                system_reserved.insert("cpu".to_owned(), count.to_string());
            }
            None => r.findings.fault("reservedSystemCPUs", format!("want a list such as 0-3,8, got {reserved_cpus:?}")),
        }
    }
    let settings = EvictionSettings {
        hard,
        soft: r.map("evictionSoft"),
        soft_grace,
        minimum_reclaim: r.map("evictionMinimumReclaim"),
        transition: r.duration("evictionPressureTransitionPeriod"),
        max_pod_grace: r.int("evictionMaxPodGracePeriod"),
        kube_reserved,
        system_reserved,
        enforce: r.list("enforceNodeAllocatable"),
        kube_reserved_cgroup: r.text("kubeReservedCgroup"),
        system_reserved_cgroup: r.text("systemReservedCgroup"),
    };
    for fault in parse_thresholds(&settings).err().into_iter().flatten() {
        let (path, text) = fault.split_once(": ").unwrap_or(("evictionHard", &fault));
        r.findings.fault(path, text);
    }
    settings
}

fn node(flags: &Flags, r: &mut Reader<'_>) -> NodeSettings {
    let ips = flags.node_ip.split(',').filter(|t| !t.trim().is_empty());
    let ips: Vec<IpAddr> = ips.filter_map(|text| parse_ip(text, "--node-ip", r.findings)).collect();
    let one_of_each = match ips.as_slice() {
        [first, second] => first.is_ipv4() != second.is_ipv4(),
        few => few.len() < 2,
    };
    if !one_of_each {
        r.findings.fault("--node-ip", "want one address, or one of each address family");
    }
    if !["", "external"].contains(&flags.cloud_provider.as_str()) {
        r.findings.fault("--cloud-provider", format!("want \"\" or external, got {:?}", flags.cloud_provider));
    }
    let taints: Vec<Taint> = r.json("registerWithTaints");
    NodeSettings {
        register: r.bool("registerNode"),
        labels: parse_labels(&flags.node_labels, r.findings),
        taints,
        ips,
        external_cloud: flags.cloud_provider == "external",
        provider_id: r.text("providerID"),
        max_pods: r.int("maxPods"),
        pods_per_core: r.int("podsPerCore"),
        pod_cidr: r.text("podCIDR"),
        status_update: r.duration("nodeStatusUpdateFrequency"),
        status_report: r.duration("nodeStatusReportFrequency"),
        lease_seconds: r.int("nodeLeaseDurationSeconds"),
        max_images: r.int("nodeStatusMaxImages"),
        controller_attach_detach: r.bool("enableControllerAttachDetach"),
        local_storage: r.bool("localStorageCapacityIsolation"),
    }
}

fn server(r: &mut Reader<'_>) -> ServerSettings {
    ServerSettings {
        enabled: r.bool("enableServer"),
        address: r.ip("address"),
        port: r.int("port"),
        read_only_port: r.int("readOnlyPort"),
        healthz_address: r.ip("healthzBindAddress"),
        healthz_port: r.int("healthzPort"),
        tls_cert: r.path("tlsCertFile"),
        tls_key: r.path("tlsPrivateKeyFile"),
        cipher_suites: r.list("tlsCipherSuites"),
        curves: r.json("tlsCurvePreferences"),
        min_tls: r.text("tlsMinVersion"),
        client_ca: r.path("authentication.x509.clientCAFile"),
        anonymous: r.bool("authentication.anonymous.enabled"),
        token_webhook: r.bool("authentication.webhook.enabled"),
        token_cache: r.duration("authentication.webhook.cacheTTL"),
        authorization_mode: r.text("authorization.mode"),
        allow_cache: r.duration("authorization.webhook.cacheAuthorizedTTL"),
        deny_cache: r.duration("authorization.webhook.cacheUnauthorizedTTL"),
        debugging: r.bool("enableDebuggingHandlers"),
        system_log_handler: r.bool("enableSystemLogHandler"),
        system_log_query: r.bool("enableSystemLogQuery"),
        debug_flags: r.bool("enableDebugFlagsHandler"),
    }
}

fn pods(r: &mut Reader<'_>) -> PodSettings {
    let ids: i64 = r.int("userNamespaces.idsPerPod");
    PodSettings {
        sync_frequency: r.duration("syncFrequency"),
        max_restart_backoff: match r.duration("crashLoopBackOff.maxContainerRestartPeriod") {
            Duration::ZERO => LONGEST_BACKOFF,
            given => given,
        },
        cluster_dns: r.ips("clusterDNS"),
        cluster_domain: r.text("clusterDomain"),
        resolv_conf: r.text("resolvConf"),
        pids_limit: r.int("podPidsLimit"),
        cpu_cfs_quota: r.bool("cpuCFSQuota"),
        cpu_cfs_period: r.duration("cpuCFSQuotaPeriod"),
        seccomp_default: r.bool("seccompDefault"),
        allowed_unsafe_sysctls: r.list("allowedUnsafeSysctls"),
        swap_behavior: r.text("memorySwap.swapBehavior"),
        single_process_oom_kill: r.bool("singleProcessOOMKill"),
        user_namespace_ids: if ids > 0 { u32::try_from(ids).unwrap_or(65536) } else { 65536 },
    }
}

fn images(flags: &Flags, r: &mut Reader<'_>) -> ImageSettings {
    let serialize = r.bool("serializeImagePulls");
    let parallel: u32 = r.int("maxParallelImagePulls");
    ImageSettings {
        pull_qps: r.int("registryPullQPS"),
        pull_burst: r.int("registryBurst"),
        max_parallel: match (serialize, parallel) {
            (true, _) => Some(1),
            (false, 0) => None,
            (false, n) => Some(n),
        },
        minimum_age: r.duration("imageMinimumGCAge"),
        maximum_age: r.duration("imageMaximumGCAge"),
        gc_high: r.int("imageGCHighThresholdPercent"),
        gc_low: r.int("imageGCLowThresholdPercent"),
        verification_policy: r.text("imagePullCredentialsVerificationPolicy"),
        verification_allowlist: r.list("preloadedImagesVerificationAllowlist"),
        credential_config: flags.credential_config.clone(),
        credential_bin_dir: flags.credential_bin_dir.clone(),
    }
}

fn shutdown(r: &mut Reader<'_>) -> ShutdownSettings {
    let by_priority: Vec<Value> = r.json("shutdownGracePeriodByPodPriority");
    let by_priority = by_priority.iter().map(|entry| {
        let int = |key| entry.get(key).and_then(Value::as_i64).unwrap_or_default();
        let priority = i32::try_from(int("priority"));
        let priority = priority.unwrap_or(if int("priority") < 0 { i32::MIN } else { i32::MAX });
        (priority, int("shutdownGracePeriodSeconds").max(0).unsigned_abs())
    });
    ShutdownSettings {
        by_priority: by_priority.collect(),
        total: r.duration("shutdownGracePeriod"),
        critical: r.duration("shutdownGracePeriodCriticalPods"),
    }
}

fn host(flags: &Flags, r: &mut Reader<'_>) -> HostSettings {
    if flags.exit_on_lock_contention && flags.lock_file.is_none() {
        r.findings.fault("--exit-on-lock-contention", "needs --lock-file");
    }
    HostSettings {
        fail_swap_on: r.bool("failSwapOn"),
        fail_cgroup_v1: r.bool("failCgroupV1"),
        swap_behavior: r.text("memorySwap.swapBehavior"),
        ends_single_processes: get(r.value, "singleProcessOOMKill") == Some(&Value::Bool(false)),
        reserved_cpus: r.text("reservedSystemCPUs"),
        protect_kernel_defaults: r.bool("protectKernelDefaults"),
        iptables_hint: r.bool("makeIPTablesUtilChains"),
        oom_score_adj: r.int("oomScoreAdj"),
        max_open_files: r.int("maxOpenFiles"),
        lock_file: flags.lock_file.clone(),
        exit_on_lock_contention: flags.exit_on_lock_contention,
    }
}

/// `volumeStatsAggPeriod`; `None` if it is negative, which disables measuring volumes.
fn volume_period(r: &Reader<'_>) -> Option<Duration> {
    let text = r.text("volumeStatsAggPeriod");
    (!text.starts_with('-')).then(|| parse_duration(&text).unwrap_or_default())
}

/// Types a document; faults are added to `findings`.
pub(super) fn type_spec(
    flags: &Flags,
    release: &'static Release,
    value: Value,
    findings: &mut Findings,
) -> KubeletSpec {
    let mut reader = Reader { value: &value, findings };
    let r = &mut reader;
    let endpoint = r.text("containerRuntimeEndpoint");
    let image_endpoint = Some(r.text("imageServiceEndpoint")).filter(|e| !e.is_empty());
    let root = flags.root_dir.clone().unwrap_or_else(|| "/var/lib/kubelet".into());
    let spec = KubeletSpec {
        release,
        node_name: flags.node_name.trim().to_lowercase(),
        kubeconfig: flags.kubeconfig.clone(),
        bootstrap_kubeconfig: flags.bootstrap_kubeconfig.clone(),
        dirs: Dirs {
            certs: flags.cert_dir.clone().unwrap_or_else(|| "/var/lib/kubelet/pki".into()),
            pod_logs: r.text("podLogsDir").into(),
            root,
        },
        sources: Sources {
            path: r.path("staticPodPath"),
            file_check: r.duration("fileCheckFrequency"),
            url: Some(r.text("staticPodURL")).filter(|u| !u.is_empty()),
            url_headers: r.json("staticPodURLHeader"),
            http_check: r.duration("httpCheckFrequency"),
            units: flags.static_pod_units,
            host_programs: flags.host_programs.clone(),
        },
        runtime: RuntimeSettings {
            image_endpoint: image_endpoint.unwrap_or_else(|| endpoint.clone()),
            endpoint,
            timeout: r.duration("runtimeRequestTimeout"),
            cgroup_driver: r.text("cgroupDriver"),
            cgroup_root: r.text("cgroupRoot"),
        },
        node: node(flags, r),
        server: server(r),
        pods: pods(r),
        images: images(flags, r),
        logs: LogSettings {
            max_size: r.text("containerLogMaxSize"),
            max_files: r.int("containerLogMaxFiles"),
            workers: r.int("containerLogMaxWorkers"),
            interval: r.duration("containerLogMonitorInterval"),
        },
        eviction: eviction(r),
        shutdown: shutdown(r),
        api: ApiSettings {
            qps: r.int("kubeAPIQPS"),
            burst: r.int("kubeAPIBurst"),
            event_qps: r.int("eventRecordQPS"),
            event_burst: r.int("eventBurst"),
        },
        rotate_certificates: r.bool("rotateCertificates"),
        server_tls_bootstrap: r.bool("serverTLSBootstrap"),
        verbosity: get(r.value, "logging.verbosity").and_then(Value::as_u64).unwrap_or(0).min(255) as u8,
        json_log: r.text("logging.format") == "json",
        host: host(flags, r),
        volume_period: volume_period(r),
        usage_from_runtime: r.bool("featureGates.PodAndContainerStatsFromCRI"),
        flags: flags.given(),
        warnings: Vec::new(),
        effective: Value::Null,
    };
    if spec.node_name.is_empty() {
        r.findings.fault("--hostname-override", "the node name is empty");
    }
    KubeletSpec { effective: value, ..spec }
}
