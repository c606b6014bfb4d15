//! Capacity and allocatable.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::core::model::cgroup::{CgroupLimits, shares_of_milli_cpu};
use crate::core::model::kubelet_spec::EvictionSettings;
use crate::core::model::{Amount, KubeletSpec, MachineFacts};

/// What the node has, and what pods may use of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// `status.capacity`: resources of the machine.
    pub capacity: BTreeMap<String, Quantity>,
    /// `status.allocatable`: capacity minus reservations and hard eviction thresholds.
    pub allocatable: BTreeMap<String, Quantity>,
}

/// Derives both (`pkg/kubelet/cm/node_container_manager_linux.go`, `nodestatus/setters.go`).
pub fn derive_resources(machine: &MachineFacts, spec: &KubeletSpec) -> Resources {
    let (node, eviction) = (&spec.node, &spec.eviction);
    let per_core = node.pods_per_core.saturating_mul(machine.cpus);
    let pods = if per_core > 0 { per_core.min(node.max_pods) } else { node.max_pods };
    let huge = machine.huge_pages.values().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
    let mut capacity = BTreeMap::new();
    let mut allocatable = BTreeMap::new();
    let mut set = |name: &str, total: Quantity, left: Quantity| {
        capacity.insert(name.to_string(), total);
        allocatable.insert(name.to_string(), left);
    };
    let milli = i64::from(machine.cpus).saturating_mul(1000);
    set("cpu", cpu(milli), cpu(milli.saturating_sub(reserved(eviction, "cpu").milli()).max(0)));
    let memory_left = less(
        machine.memory,
        [reserved(eviction, "memory").units(), threshold(eviction, "memory.available", machine.memory), to_i64(huge)],
    );
    set("memory", kibi(machine.memory), kibi(memory_left));
    let storage_left = less(
        machine.root_fs,
        [reserved(eviction, "ephemeral-storage").units(), threshold(eviction, "nodefs.available", machine.root_fs), 0],
    );
    if node.local_storage {
        let bytes = |amount: u64| Quantity(amount.to_string());
        let total = if spec.release.storage_in_bytes { bytes(machine.root_fs) } else { kibi(machine.root_fs) };
        set("ephemeral-storage", total, bytes(storage_left));
    }
    for (size, bytes) in &machine.huge_pages {
        let name = format!("hugepages-{}", binary(*size));
        set(&name, Quantity(binary(*bytes)), Quantity(binary(*bytes)));
    }
    let pods = Quantity(pods.to_string());
    set("pods", pods.clone(), pods);
    Resources { capacity, allocatable }
}

/// Limits of the cgroup of all pods: capacity minus enforced reservations (upstream `createNodeAllocatableCgroups`).
/// Eviction thresholds are not subtracted, so that eviction happens before the kernel's OOM killer.
pub fn limits_of_all_pods(machine: &MachineFacts, eviction: &EvictionSettings) -> CgroupLimits {
    let enforced = eviction.enforce.iter().any(|what| what == "pods");
    let held = |name: &str| if enforced { reserved(eviction, name) } else { Amount::ZERO };
    let milli = i64::from(machine.cpus).saturating_mul(1000).saturating_sub(held("cpu").milli());
    let pids = held("pid").units();
    CgroupLimits {
        cpu_shares: Some(shares_of_milli_cpu(milli.max(0))),
        memory: Some(to_i64(machine.memory).saturating_sub(held("memory").units())),
        // Without a reservation there is no limit: a previous one is removed.
        pids: Some(if pids > 0 { to_i64(machine.max_pids).saturating_sub(pids).max(1) } else { -1 }),
        ..CgroupLimits::default()
    }
}

/// Cgroups of the node's own services on which reservations are enforced: the configured name, and its limits.
pub fn limits_of_services(eviction: &EvictionSettings) -> Vec<(String, CgroupLimits)> {
    let both = [
        ("kube-reserved", &eviction.kube_reserved_cgroup, &eviction.kube_reserved),
        ("system-reserved", &eviction.system_reserved_cgroup, &eviction.system_reserved),
    ];
    let mut limits = Vec::new();
    for (key, cgroup, list) in both {
        let asked = |name: &str| eviction.enforce.iter().any(|what| what == name);
        let amount = |name: &str| list.get(name).and_then(|text| Amount::parse(text));
        let cpu = amount("cpu").map(|cpu| shares_of_milli_cpu(cpu.milli()));
        if asked(key) {
            let (memory, pids) = (amount("memory").map(Amount::units), amount("pid").map(Amount::units));
            limits.push((cgroup.clone(), CgroupLimits { cpu_shares: cpu, memory, pids, ..CgroupLimits::default() }));
        } else if asked(&format!("{key}-compressible")) {
            limits.push((cgroup.clone(), CgroupLimits { cpu_shares: cpu, ..CgroupLimits::default() }));
        }
    }
    limits
}

fn to_i64(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn less(total: u64, parts: [i64; 3]) -> u64 {
    let parts = parts.iter().fold(0i64, |sum, part| sum.saturating_add((*part).max(0)));
    total.saturating_sub(u64::try_from(parts).unwrap_or(0))
}

fn reserved(eviction: &EvictionSettings, name: &str) -> Amount {
    let of = |list: &BTreeMap<String, String>| list.get(name).and_then(|text| Amount::parse(text)).unwrap_or_default();
    of(&eviction.kube_reserved).saturating_add(of(&eviction.system_reserved))
}

/// A hard eviction threshold in bytes; percentages are of `total`.
fn threshold(eviction: &EvictionSettings, signal: &str, total: u64) -> i64 {
    let Some(text) = eviction.hard.get(signal) else { return 0 };
    if let Some(percent) = text.strip_suffix('%') {
        #[expect(clippy::cast_possible_truncation, reason = "from a float it stops at the ends")]
        return percent.parse::<f64>().map_or(0, |percent| (total as f64 * percent / 100.0) as i64);
    }
    Amount::parse(text).unwrap_or_default().units()
}

fn cpu(milli: i64) -> Quantity {
    Quantity(if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") })
}

fn kibi(bytes: u64) -> Quantity {
    Quantity(format!("{}Ki", bytes / 1024))
}

/// Bytes with the largest binary unit that divides them, as upstream prints huge pages.
fn binary(bytes: u64) -> String {
    let units = [(1u64 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let whole = |(size, name): &(u64, &str)| {
        let count = bytes.checked_div(*size).filter(|count| *count > 0 && bytes.is_multiple_of(*size))?;
        Some(format!("{count}{name}"))
    };
    units.iter().find_map(whole).unwrap_or_else(|| bytes.to_string())
}
