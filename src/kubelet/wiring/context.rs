//! What the machine itself says, for rendering pods: memory, swap, hosts and resolver files, cgroups.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use crate::core::model::KubeletSpec;
use crate::core::render::{NodeContext, parse_resolv_conf};

/// No file that is read here is larger.
const MAX_FILE: usize = 1 << 20;

fn read(path: impl AsRef<Path>) -> String {
    let mut text = fs::read_to_string(path).unwrap_or_default();
    if text.len() > MAX_FILE {
        text.clear();
    }
    text
}

/// A `kB` line of /proc/meminfo, in bytes.
fn meminfo(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default().saturating_mul(1024)
}

/// The address that packets to other networks leave from. Connecting a UDP socket sends nothing.
pub fn default_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

/// The context that pods are rendered in.
pub fn observe_context(spec: &KubeletSpec) -> NodeContext {
    let memory = read("/proc/meminfo");
    let cgroup_v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let pods = &spec.pods;
    let huge_pages = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let huge_page_sizes = huge_pages.filter_map(|entry| {
        let kib: u64 = entry.file_name().to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        Some(match kib {
            kib if kib % (1 << 20) == 0 => format!("{}GB", kib >> 20),
            kib if kib % (1 << 10) == 0 => format!("{}MB", kib >> 10),
            kib => format!("{kib}KB"),
        })
    });
    let host_ips = if spec.node.ips.is_empty() { default_address().into_iter().collect() } else { spec.node.ips.clone() };
    NodeContext {
        pod_logs_dir: spec.dirs.pod_logs.clone(),
        host_ips,
        cluster_dns: pods.cluster_dns.clone(),
        cluster_domain: pods.cluster_domain.clone(),
        resolv_conf: (!pods.resolv_conf.is_empty()).then(|| parse_resolv_conf(&read(&pods.resolv_conf))),
        node_hosts: read("/etc/hosts"),
        memory_capacity: meminfo(&memory, "MemTotal"),
        swap_capacity: meminfo(&memory, "SwapTotal"),
        cpu_cfs_quota: pods.cpu_cfs_quota,
        cpu_cfs_quota_period: i64::try_from(pods.cpu_cfs_period.as_micros()).unwrap_or(100_000),
        cgroup_v2,
        swap_controller: cgroup_v2 || Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists(),
        limited_swap: pods.swap_behavior == "LimitedSwap",
        single_process_oom_kill: pods.single_process_oom_kill,
        huge_page_sizes: huge_page_sizes.collect(),
        seccomp_default: pods.seccomp_default,
        extra_masked_paths: thermal_throttle(),
        selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        ..NodeContext::defaults(&spec.dirs.root)
    }
}

fn thermal_throttle() -> Vec<String> {
    let cpus = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let mut paths: Vec<String> = cpus
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with("cpu")))
        .map(|entry| entry.path().join("thermal_throttle"))
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    paths.sort();
    paths
}
