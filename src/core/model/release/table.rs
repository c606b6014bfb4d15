//! The supported minor versions, each against its upstream source.
//!
//! To add one: a row here, a column in `gates.rs`, and its name in `Release::all` and `Release::newest`; to drop one, the
//! other way round (docs/releasing.md).

use super::record::Release;

/// Sysctls that are safe since v1.37; all are in Linux 4.15.
static SAFE_SINCE_37: [&str; 14] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_notsent_lowat",
];
/// Those of the versions before, without the last two.
static SAFE: &[&str] = match SAFE_SINCE_37.split_last_chunk::<2>() {
    Some((before, _)) => before,
    None => &[],
};

/// Declared features since the gate NodeDeclaredFeatures is enabled by default.
const DECLARED: [&str; 3] = [
    "InPlacePodLevelResourcesVerticalScaling",
    "InPlacePodVerticalScalingInitContainers",
    "RestartAllContainersOnContainerExits",
];

pub(super) static V1_35: Release = Release {
    minor: 35,
    version: "v1.35.4",
    probe_agent: "kube-probe/1.35",
    hook_agent: "kube-lifecycle/1.35",
    images: [("etcd", "etcd:3.6.6-0"), ("coredns", "coredns/coredns:v1.13.1"), ("pause", "pause:3.10.1")],
    safe_sysctls: SAFE,
    // The gate NodeDeclaredFeatures is alpha.
    declared_features: &[],
    storage_in_bytes: false,
    memory_throttling_factor: Some(0.9),
    runtime_config_from: "1.36.0",
    column: 0,
};

pub(super) static V1_36: Release = Release {
    minor: 36,
    version: "v1.36.3",
    probe_agent: "kube-probe/1.36",
    hook_agent: "kube-lifecycle/1.36",
    images: [("etcd", "etcd:3.6.8-0"), ("coredns", "coredns/coredns:v1.14.2"), ("pause", "pause:3.10.2")],
    safe_sysctls: SAFE,
    declared_features: &DECLARED,
    storage_in_bytes: false,
    memory_throttling_factor: Some(0.9),
    runtime_config_from: "1.37.0",
    column: 1,
};

pub(super) static V1_37: Release = Release {
    minor: 37,
    version: "v1.37.2",
    probe_agent: "kube-probe/1.37",
    hook_agent: "kube-lifecycle/1.37",
    images: [("etcd", "etcd:3.7.0-0"), ("coredns", "coredns/coredns:v1.14.6"), ("pause", "pause:3.10.2")],
    safe_sysctls: &SAFE_SINCE_37,
    declared_features: &DECLARED,
    storage_in_bytes: true,
    memory_throttling_factor: None,
    runtime_config_from: "1.38.0",
    column: 2,
};

/// A flag that a component no longer has.
pub(super) struct RemovedFlag {
    component: &'static str,
    /// The flag without dashes; with `*` at its end, all flags that begin so.
    flag: &'static str,
    /// The first minor version whose component refuses to start with it.
    pub(super) minor: u32,
}

impl RemovedFlag {
    pub(super) fn is(&self, component: &str, flag: &str) -> bool {
        let same = match self.flag.strip_suffix('*') {
            Some(prefix) => flag.starts_with(prefix),
            None => flag == self.flag,
        };
        self.component == component && same
    }
}

const fn removed(component: &'static str, flag: &'static str, minor: u32) -> RemovedFlag {
    RemovedFlag { component, flag, minor }
}

/// Flags that a supported version removed. Those of etcd come with the etcd of the minor version (3.7 with v1.37).
pub(super) static REMOVED_FLAGS: [RemovedFlag; 22] = [
    removed("etcd", "experimental-*", 37),
    removed("etcd", "discovery", 37),
    removed("etcd", "discovery-proxy", 37),
    removed("kube-controller-manager", "concurrent-service-syncs", 37),
    // cAdvisor's.
    removed("kubelet", "application-metrics-count-limit", 37),
    removed("kubelet", "boot-id-file", 37),
    removed("kubelet", "container-hints", 37),
    removed("kubelet", "containerd", 37),
    removed("kubelet", "containerd-namespace", 37),
    removed("kubelet", "enable-load-reader", 37),
    removed("kubelet", "event-storage-age-limit", 37),
    removed("kubelet", "event-storage-event-limit", 37),
    removed("kubelet", "global-housekeeping-interval", 37),
    removed("kubelet", "log-cadvisor-usage", 37),
    removed("kubelet", "machine-id-file", 37),
    removed("kubelet", "storage-driver-user", 37),
    removed("kubelet", "storage-driver-password", 37),
    removed("kubelet", "storage-driver-host", 37),
    removed("kubelet", "storage-driver-db", 37),
    removed("kubelet", "storage-driver-table", 37),
    removed("kubelet", "storage-driver-secure", 37),
    removed("kubelet", "storage-driver-buffer-duration", 37),
];
