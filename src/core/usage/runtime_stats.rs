//! Usage as the runtime measures it (feature gate `PodAndContainerStatsFromCRI`, upstream `stats/cri_stats_provider.go`).
//!
//! A runtime that keeps pods in virtual machines sees what the cgroups of the host do not.

use jiff::Timestamp;

use crate::core::model::usage::{
    ContainerUsage, CpuUsage, InterfaceUsage, MemoryUsage, NetworkUsage, PodUsage, ProcessUsage, SwapUsage,
};
use crate::cri;

/// Puts the runtime's figures in place of those that were read from cgroups. What the runtime does not tell stays as it was
/// measured; so do disks, pressure and containers that it does not list.
pub fn apply_runtime_stats(usage: &mut PodUsage, stats: &cri::PodSandboxStats) {
    let Some(linux) = &stats.linux else { return };
    if let Some(cpu) = &linux.cpu {
        apply_cpu(&mut usage.cpu, cpu);
    }
    if let Some(memory) = &linux.memory {
        apply_memory(&mut usage.memory, memory);
    }
    if let Some(count) = linux.process.as_ref().and_then(|process| process.process_count) {
        usage.processes = Some(ProcessUsage { process_count: count.value });
    }
    if let (Some(network), Some(measured)) = (&linux.network, &mut usage.network) {
        apply_network(measured, network);
    }
    for container in &linux.containers {
        let name = container.attributes.as_ref().and_then(|a| a.metadata.as_ref()).map(|metadata| &metadata.name);
        if let Some(measured) = usage.containers.iter_mut().find(|measured| Some(&measured.name) == name) {
            apply_container(measured, container);
        }
    }
}

fn apply_container(usage: &mut ContainerUsage, stats: &cri::ContainerStats) {
    if let Some(cpu) = &stats.cpu {
        apply_cpu(&mut usage.cpu, cpu);
    }
    if let Some(memory) = &stats.memory {
        apply_memory(&mut usage.memory, memory);
    }
    if let Some(swap) = &stats.swap {
        usage.swap = Some(SwapUsage {
            time: moment(swap.timestamp),
            swap_available_bytes: swap.swap_available_bytes.map(|v| v.value),
            swap_usage_bytes: swap.swap_usage_bytes.map(|v| v.value),
        });
    }
}

fn apply_cpu(usage: &mut Option<CpuUsage>, stats: &cri::CpuUsage) {
    let measured = usage.take();
    let value = |told: Option<cri::UInt64Value>, own: fn(&CpuUsage) -> Option<u64>| {
        told.map(|v| v.value).or_else(|| measured.as_ref().and_then(own))
    };
    *usage = Some(CpuUsage {
        time: moment(stats.timestamp),
        usage_nano_cores: value(stats.usage_nano_cores, |cpu| cpu.usage_nano_cores),
        usage_core_nano_seconds: value(stats.usage_core_nano_seconds, |cpu| cpu.usage_core_nano_seconds),
        psi: measured.as_ref().and_then(|cpu| cpu.psi),
    });
}

fn apply_memory(usage: &mut Option<MemoryUsage>, stats: &cri::MemoryUsage) {
    let measured = usage.take();
    let value = |told: Option<cri::UInt64Value>, own: fn(&MemoryUsage) -> Option<u64>| {
        told.map(|v| v.value).or_else(|| measured.as_ref().and_then(own))
    };
    *usage = Some(MemoryUsage {
        time: moment(stats.timestamp),
        available_bytes: value(stats.available_bytes, |memory| memory.available_bytes),
        usage_bytes: value(stats.usage_bytes, |memory| memory.usage_bytes),
        working_set_bytes: value(stats.working_set_bytes, |memory| memory.working_set_bytes),
        rss_bytes: value(stats.rss_bytes, |memory| memory.rss_bytes),
        page_faults: value(stats.page_faults, |memory| memory.page_faults),
        major_page_faults: value(stats.major_page_faults, |memory| memory.major_page_faults),
        psi: measured.as_ref().and_then(|memory| memory.psi),
    });
}

/// Packets, which the runtime does not count, stay.
fn apply_network(usage: &mut NetworkUsage, stats: &cri::NetworkUsage) {
    let told = stats.default_interface.iter().chain(&stats.interfaces);
    for told in told {
        let own = usage.default.iter_mut().chain(&mut usage.interfaces);
        for interface in own.filter(|interface| interface.name == told.name) {
            apply_interface(interface, told);
        }
    }
    usage.time = moment(stats.timestamp);
}

fn apply_interface(usage: &mut InterfaceUsage, stats: &cri::NetworkInterfaceUsage) {
    let fields = [
        (&mut usage.rx_bytes, stats.rx_bytes),
        (&mut usage.rx_errors, stats.rx_errors),
        (&mut usage.tx_bytes, stats.tx_bytes),
        (&mut usage.tx_errors, stats.tx_errors),
    ];
    for (own, told) in fields {
        if let Some(told) = told {
            *own = told.value;
        }
    }
}

/// A moment that the runtime gives in nanoseconds since 1970.
fn moment(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::usage::PodReference;

    fn value(value: u64) -> Option<cri::UInt64Value> {
        Some(cri::UInt64Value { value })
    }

    #[test]
    fn what_the_runtime_tells_takes_the_place_of_what_was_read_and_the_rest_stays() {
        let at = Timestamp::UNIX_EPOCH;
        let memory = MemoryUsage {
            time: at,
            available_bytes: Some(1),
            usage_bytes: Some(2),
            working_set_bytes: Some(3),
            rss_bytes: Some(4),
            page_faults: Some(5),
            major_page_faults: Some(6),
            psi: None,
        };
        let container = |name: &str| ContainerUsage {
            name: name.into(),
            start_time: at,
            cpu: None,
            memory: Some(memory),
            io: None,
            rootfs: None,
            logs: None,
            swap: None,
        };
        let mut usage = PodUsage {
            pod_ref: PodReference { name: "p".into(), namespace: "d".into(), uid: "u".into() },
            start_time: at,
            containers: vec![container("main"), container("other")],
            cpu: None,
            memory: Some(memory),
            io: None,
            network: Some(NetworkUsage {
                time: at,
                default: Some(InterfaceUsage { name: "eth0".into(), rx_bytes: 1, rx_packets: 7, ..Default::default() }),
                interfaces: Vec::new(),
            }),
            volumes: Vec::new(),
            ephemeral_storage: None,
            processes: None,
            swap: None,
        };
        let told = cri::MemoryUsage { timestamp: 9_000_000_000, working_set_bytes: value(300), ..Default::default() };
        let interface = cri::NetworkInterfaceUsage { name: "eth0".into(), rx_bytes: value(100), ..Default::default() };
        let attributes = cri::ContainerAttributes {
            metadata: Some(cri::ContainerMetadata { name: "main".into(), attempt: 0 }),
            ..Default::default()
        };
        let linux = cri::LinuxPodSandboxStats {
            cpu: Some(cri::CpuUsage {
                timestamp: 9_000_000_000,
                usage_core_nano_seconds: value(8),
                ..Default::default()
            }),
            memory: Some(told),
            network: Some(cri::NetworkUsage { default_interface: Some(interface), ..Default::default() }),
            process: Some(cri::ProcessUsage { timestamp: 0, process_count: value(12) }),
            containers: vec![cri::ContainerStats {
                attributes: Some(attributes),
                memory: Some(told),
                ..Default::default()
            }],
            ..Default::default()
        };
        apply_runtime_stats(&mut usage, &cri::PodSandboxStats { linux: Some(linux), ..Default::default() });
        let working_sets: Vec<_> =
            usage.containers.iter().map(|c| c.memory.as_ref().and_then(|m| m.working_set_bytes)).collect();
        assert_eq!(working_sets, [Some(300), Some(3)]);
        let memory = usage.memory.unwrap();
        assert_eq!((memory.time.as_second(), memory.working_set_bytes, memory.rss_bytes), (9, Some(300), Some(4)));
        assert_eq!(usage.cpu.unwrap().usage_core_nano_seconds, Some(8));
        assert_eq!(usage.processes.unwrap().process_count, 12);
        let network = usage.network.unwrap().default.unwrap();
        assert_eq!((network.rx_bytes, network.rx_packets), (100, 7));
    }
}
