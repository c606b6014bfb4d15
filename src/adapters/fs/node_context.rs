//! Reads the properties of the machine that rendering needs: memory, cgroups, huge pages.

#![expect(clippy::disallowed_methods, reason = "read once, before anything runs")]

use std::fs;
use std::path::Path;

use crate::core::model::kubelet_spec::{Dirs, PodSettings};
use crate::core::model::with_causes;
use crate::core::render::{NodeContext, ResolvConf};

/// Settings and properties of the machine. The caller fills in addresses and allocatable resources.
pub fn read(dirs: &Dirs, pods: &PodSettings) -> NodeContext {
    read_below(Path::new("/"), dirs, pods)
}

fn read_below(root: &Path, dirs: &Dirs, pods: &PodSettings) -> NodeContext {
    let meminfo = text(&root.join("proc/meminfo"));
    let cgroup_v2 = root.join("sys/fs/cgroup/cgroup.controllers").exists();
    NodeContext {
        pod_logs_dir: dirs.pod_logs.clone(),
        cluster_dns: pods.cluster_dns.clone(),
        cluster_domain: pods.cluster_domain.clone(),
        resolv_conf: (!pods.resolv_conf.is_empty()).then(ResolvConf::default),
        memory_capacity: kilobytes(&meminfo, "MemTotal:"),
        swap_capacity: kilobytes(&meminfo, "SwapTotal:"),
        cpu_cfs_quota: pods.cpu_cfs_quota,
        cpu_cfs_quota_period: i64::try_from(pods.cpu_cfs_period.as_micros()).unwrap_or(100_000),
        cgroup_v2,
        swap_controller: has_swap_controller(root, cgroup_v2),
        limited_swap: pods.swap_behavior == "LimitedSwap",
        single_process_oom_kill: pods.single_process_oom_kill,
        huge_page_sizes: huge_page_sizes(root),
        seccomp_default: pods.seccomp_default,
        selinux: root.join("sys/fs/selinux/enforce").exists(),
        extra_masked_paths: throttle_paths(root),
        ..NodeContext::defaults(&dirs.root)
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), error = with_causes(&error), "not read");
        String::new()
    })
}

fn kilobytes(meminfo: &str, field: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0).saturating_mul(1024)
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().into_string().ok()).collect()
}

/// Sizes in the hugetlb controller's notation, from directories such as `hugepages-2048kB`.
fn huge_page_sizes(root: &Path) -> Vec<String> {
    let names = names_in(&root.join("sys/kernel/mm/hugepages"));
    let sizes = names.iter().filter_map(|n| n.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok());
    let mut sizes: Vec<u64> = sizes.collect();
    sizes.sort_unstable();
    let name = |kilobytes: u64| match kilobytes {
        k if k >= 1 << 20 => format!("{}GB", k >> 20),
        k if k >= 1 << 10 => format!("{}MB", k >> 10),
        k => format!("{k}KB"),
    };
    sizes.into_iter().map(name).collect()
}

fn has_swap_controller(root: &Path, v2: bool) -> bool {
    let cgroups = root.join("sys/fs/cgroup");
    if !v2 {
        return cgroups.join("memory/memory.memsw.limit_in_bytes").exists();
    }
    // The root cgroup has no such file; our own has.
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    cgroups.join(path).join("memory.swap.max").exists()
}

fn throttle_paths(root: &Path) -> Vec<String> {
    let cpus = names_in(&root.join("sys/devices/system/cpu"));
    let numbered = cpus.iter().filter(|n| n.strip_prefix("cpu").is_some_and(|d| d.parse::<u32>().is_ok()));
    let mut paths: Vec<String> = numbered
        .map(|cpu| format!("sys/devices/system/cpu/{cpu}/thermal_throttle"))
        .filter(|path| root.join(path).exists())
        .map(|path| format!("/{path}"))
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_from_its_files() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, content: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        put("proc/meminfo", "MemTotal:       1024 kB\nSwapTotal: 2 kB\n");
        put("sys/fs/cgroup/cgroup.controllers", "");
        put("proc/self/cgroup", "0::/a/b\n");
        put("sys/fs/cgroup/a/b/memory.swap.max", "max");
        put("sys/kernel/mm/hugepages/hugepages-2048kB/x", "");
        put("sys/kernel/mm/hugepages/hugepages-1048576kB/x", "");
        put("sys/devices/system/cpu/cpu0/thermal_throttle/x", "");
        let meminfo = text(&root.path().join("proc/meminfo"));
        assert_eq!((kilobytes(&meminfo, "MemTotal:"), kilobytes(&meminfo, "SwapTotal:")), (1 << 20, 2048));
        assert!(has_swap_controller(root.path(), true) && !has_swap_controller(root.path(), false));
        assert_eq!(huge_page_sizes(root.path()), ["2MB", "1GB"]);
        assert_eq!(throttle_paths(root.path()), ["/sys/devices/system/cpu/cpu0/thermal_throttle"]);
    }
}
