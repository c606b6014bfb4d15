//! `/metrics/cadvisor`: raw readings under the names that dashboards know.

use crate::core::model::cgroup_sample::{CgroupDetail, DeviceSample};
use crate::core::model::usage::{InterfaceUsage, Psi};
use crate::telemetry::exposition::{Kind, Page};

/// A value of a cgroup.
type Value = fn(&CgroupDetail) -> Option<f64>;

fn nanos(value: Option<u64>) -> Option<f64> {
    value.map(|n| n as f64 / 1e9)
}

fn whole(value: Option<u64>) -> Option<f64> {
    value.map(|n| n as f64)
}

fn pressure(psi: Option<Psi>, full: bool) -> Option<f64> {
    psi.map(|psi| if full { psi.full.total } else { psi.some.total } as f64 / 1e9)
}

const PLAIN: &[(&str, Kind, &str, Value)] = &[
    ("container_cpu_cfs_periods_total", Kind::Counter, "Number of elapsed enforcement period intervals.", |d| {
        whole(d.sample.cpu.periods)
    }),
    ("container_cpu_cfs_throttled_periods_total", Kind::Counter, "Number of throttled period intervals.", |d| {
        whole(d.sample.cpu.throttled_periods)
    }),
    (
        "container_cpu_cfs_throttled_seconds_total",
        Kind::Counter,
        "Total time duration the container has been throttled.",
        |d| nanos(d.sample.cpu.throttled),
    ),
    ("container_cpu_system_seconds_total", Kind::Counter, "Cumulative system cpu time consumed in seconds.", |d| {
        nanos(d.sample.cpu.system)
    }),
    ("container_cpu_user_seconds_total", Kind::Counter, "Cumulative user cpu time consumed in seconds.", |d| {
        nanos(d.sample.cpu.user)
    }),
    (
        "container_fs_usage_bytes",
        Kind::Gauge,
        "Number of bytes that are consumed by the container on this filesystem.",
        |d| whole(d.rootfs_used),
    ),
    ("container_last_seen", Kind::Gauge, "Last time a container was seen by the exporter", |d| {
        Some(d.sample.at.as_second() as f64)
    }),
    ("container_memory_cache", Kind::Gauge, "Number of bytes of page cache memory.", |d| whole(d.sample.memory.cache)),
    ("container_memory_failcnt", Kind::Counter, "Number of memory usage hits limits", |d| {
        whole(d.sample.memory.limit_hits)
    }),
    ("container_memory_mapped_file", Kind::Gauge, "Size of memory mapped files in bytes.", |d| {
        whole(d.sample.memory.mapped_file)
    }),
    ("container_memory_rss", Kind::Gauge, "Size of RSS in bytes.", |d| whole(d.sample.memory.rss)),
    ("container_memory_swap", Kind::Gauge, "Container swap usage in bytes.", |d| whole(d.sample.memory.swap)),
    (
        "container_memory_usage_bytes",
        Kind::Gauge,
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
        |d| whole(d.sample.memory.usage),
    ),
    ("container_memory_working_set_bytes", Kind::Gauge, "Current working set in bytes.", |d| {
        whole(d.sample.memory.working_set())
    }),
    ("container_oom_events_total", Kind::Counter, "Count of out of memory events observed for the container", |d| {
        whole(d.sample.memory.oom_kills)
    }),
    (
        "container_pressure_cpu_stalled_seconds_total",
        Kind::Counter,
        "Total time duration no tasks in the container could make progress due to CPU congestion.",
        |d| pressure(d.sample.cpu_pressure, true),
    ),
    (
        "container_pressure_cpu_waiting_seconds_total",
        Kind::Counter,
        "Total time duration tasks in the container have waited due to CPU congestion.",
        |d| pressure(d.sample.cpu_pressure, false),
    ),
    (
        "container_pressure_io_stalled_seconds_total",
        Kind::Counter,
        "Total time duration no tasks in the container could make progress due to IO congestion.",
        |d| pressure(d.sample.io_pressure, true),
    ),
    (
        "container_pressure_io_waiting_seconds_total",
        Kind::Counter,
        "Total time duration tasks in the container have waited due to IO congestion.",
        |d| pressure(d.sample.io_pressure, false),
    ),
    (
        "container_pressure_memory_stalled_seconds_total",
        Kind::Counter,
        "Total time duration no tasks in the container could make progress due to memory congestion.",
        |d| pressure(d.sample.memory_pressure, true),
    ),
    (
        "container_pressure_memory_waiting_seconds_total",
        Kind::Counter,
        "Total time duration tasks in the container have waited due to memory congestion.",
        |d| pressure(d.sample.memory_pressure, false),
    ),
    ("container_processes", Kind::Gauge, "Number of processes running inside the container.", |d| {
        whole(d.sample.processes)
    }),
    ("container_spec_cpu_period", Kind::Gauge, "CPU period of the container.", |d| whole(d.sample.cpu.period)),
    ("container_spec_cpu_quota", Kind::Gauge, "CPU quota of the container.", |d| whole(d.sample.cpu.quota)),
    ("container_spec_cpu_shares", Kind::Gauge, "CPU share of the container.", |d| whole(d.sample.cpu.shares)),
    ("container_spec_memory_limit_bytes", Kind::Gauge, "Memory limit for the container.", |d| {
        Some(d.sample.memory.limit.unwrap_or(0) as f64)
    }),
    ("container_spec_memory_swap_limit_bytes", Kind::Gauge, "Memory swap limit for the container.", |d| {
        Some(d.sample.memory.swap_limit.unwrap_or(0) as f64)
    }),
    ("container_start_time_seconds", Kind::Gauge, "Start time of the container since unix epoch in seconds.", |d| {
        d.started.map(|t| t.as_second() as f64)
    }),
    ("container_threads", Kind::Gauge, "Number of threads running inside the container", |d| whole(d.sample.tasks)),
    (
        "container_threads_max",
        Kind::Gauge,
        "Maximum number of threads allowed inside the container, infinity if value is zero",
        |d| whole(d.sample.tasks_limit),
    ),
];

const PER_DEVICE: &[(&str, &str, fn(&DeviceSample) -> u64)] = &[
    ("container_fs_reads_bytes_total", "Cumulative count of bytes read", |d| d.read_bytes),
    ("container_fs_reads_total", "Cumulative count of reads completed", |d| d.reads),
    ("container_fs_writes_bytes_total", "Cumulative count of bytes written", |d| d.written_bytes),
    ("container_fs_writes_total", "Cumulative count of writes completed", |d| d.writes),
];

const PER_INTERFACE: &[(&str, &str, fn(&InterfaceUsage) -> u64)] = &[
    ("container_network_receive_bytes_total", "Cumulative count of bytes received", |i| i.rx_bytes),
    ("container_network_receive_errors_total", "Cumulative count of errors encountered while receiving", |i| {
        i.rx_errors
    }),
    ("container_network_receive_packets_dropped_total", "Cumulative count of packets dropped while receiving", |i| {
        i.rx_dropped
    }),
    ("container_network_receive_packets_total", "Cumulative count of packets received", |i| i.rx_packets),
    ("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted", |i| i.tx_bytes),
    ("container_network_transmit_errors_total", "Cumulative count of errors encountered while transmitting", |i| {
        i.tx_errors
    }),
    (
        "container_network_transmit_packets_dropped_total",
        "Cumulative count of packets dropped while transmitting",
        |i| i.tx_dropped,
    ),
    ("container_network_transmit_packets_total", "Cumulative count of packets transmitted", |i| i.tx_packets),
];

/// Prints all readings, family by family, and what the machine has.
pub fn print(details: &[CgroupDetail], cpus: Option<u32>, memory: Option<u64>, page: &mut Page) {
    if let Some(cpus) = cpus {
        page.family("machine_cpu_cores", Kind::Gauge, "Number of logical CPU cores.");
        page.sample("machine_cpu_cores", &[], f64::from(cpus), None);
    }
    if let Some(memory) = memory {
        page.family("machine_memory_bytes", Kind::Gauge, "Amount of memory installed on the machine.");
        page.sample("machine_memory_bytes", &[], memory as f64, None);
    }
    for (name, kind, help, value) in PLAIN {
        series(page, name, *kind, help, details, |detail, put| {
            if let Some(value) = value(detail) {
                put(&[], value);
            }
        });
    }
    let usage = "container_cpu_usage_seconds_total";
    series(page, usage, Kind::Counter, "Cumulative cpu time consumed in seconds.", details, |detail, put| {
        if let Some(seconds) = nanos(detail.sample.cpu.usage) {
            put(&[("cpu", "total")], seconds);
        }
    });
    let failures = "container_memory_failures_total";
    series(page, failures, Kind::Counter, "Cumulative count of memory allocation failures.", details, |detail, put| {
        let memory = &detail.sample.memory;
        for (kind, count) in [("pgfault", memory.faults), ("pgmajfault", memory.major_faults)] {
            if let Some(count) = count {
                put(&[("failure_type", kind), ("scope", "hierarchy")], count as f64);
            }
        }
    });
    for (name, help, value) in PER_DEVICE {
        series(page, name, Kind::Counter, help, details, |detail, put| {
            for device in &detail.sample.io {
                put(&[("device", &device.device)], value(device) as f64);
            }
        });
    }
    for (name, help, value) in PER_INTERFACE {
        series(page, name, Kind::Counter, help, details, |detail, put| {
            for interface in &detail.interfaces {
                put(&[("interface", &interface.name)], value(interface) as f64);
            }
        });
    }
}

fn series(
    page: &mut Page,
    name: &str,
    kind: Kind,
    help: &str,
    details: &[CgroupDetail],
    each: impl Fn(&CgroupDetail, &mut dyn FnMut(&[(&str, &str)], f64)),
) {
    let mut begun = false;
    for detail in details {
        each(detail, &mut |more, value| {
            if !std::mem::replace(&mut begun, true) {
                page.family(name, kind, help);
            }
            let mut labels = vec![
                ("container", detail.container.as_str()),
                ("id", detail.id.as_str()),
                ("image", detail.image.as_str()),
                ("name", detail.name.as_str()),
                ("namespace", detail.namespace.as_str()),
                ("pod", detail.pod.as_str()),
            ];
            labels.extend_from_slice(more);
            page.sample(name, &labels, value, Some(detail.sample.at.as_millisecond()));
        });
    }
}
