//! `/metrics/cadvisor`: raw readings under cAdvisor's names, which dashboards expect.

mod disks;
mod series;

use self::series::series;
use crate::core::model::cgroup_sample::{CgroupDetail, CgroupDetails, DiskCounters, MachineShape};
use crate::core::model::usage::{InterfaceUsage, Psi};
use crate::telemetry::exposition::{Kind, Page};

/// As upstream: a cgroup without a quota has no quota metrics.
fn with_quota(detail: &CgroupDetail, value: Option<f64>) -> Option<f64> {
    detail.sample.cpu.quota.and(value)
}

/// Extracts a value of a cgroup.
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
    ("container_cpu_cfs_burst_periods_total", Kind::Counter, "Number of periods when burst occurs.", |d| {
        with_quota(d, whole(d.sample.cpu.burst_periods))
    }),
    (
        "container_cpu_cfs_burst_seconds_total",
        Kind::Counter,
        "Total time duration the container has been bursted.",
        |d| with_quota(d, nanos(d.sample.cpu.burst)),
    ),
    ("container_cpu_cfs_periods_total", Kind::Counter, "Number of elapsed enforcement period intervals.", |d| {
        with_quota(d, whole(d.sample.cpu.periods))
    }),
    ("container_cpu_cfs_throttled_periods_total", Kind::Counter, "Number of throttled period intervals.", |d| {
        with_quota(d, whole(d.sample.cpu.throttled_periods))
    }),
    (
        "container_cpu_cfs_throttled_seconds_total",
        Kind::Counter,
        "Total time duration the container has been throttled.",
        |d| with_quota(d, nanos(d.sample.cpu.throttled)),
    ),
    ("container_cpu_system_seconds_total", Kind::Counter, "Cumulative system cpu time consumed in seconds.", |d| {
        nanos(d.sample.cpu.system)
    }),
    ("container_cpu_user_seconds_total", Kind::Counter, "Cumulative user cpu time consumed in seconds.", |d| {
        nanos(d.sample.cpu.user)
    }),
    ("container_file_descriptors", Kind::Gauge, "Number of open file descriptors for the container.", |d| {
        Some(d.open_files.descriptors as f64)
    }),
    // No container has a health check by the runtime.
    ("container_health_state", Kind::Gauge, "The result of the container's health check", |_| Some(-1.0)),
    ("container_last_seen", Kind::Gauge, "Last time a container was seen by the exporter", |d| {
        Some(d.sample.at.as_second() as f64)
    }),
    ("container_memory_cache", Kind::Gauge, "Number of bytes of page cache memory.", |d| whole(d.sample.memory.cache)),
    ("container_memory_failcnt", Kind::Counter, "Number of memory usage hits limits", |d| {
        whole(d.sample.memory.limit_hits)
    }),
    ("container_memory_kernel_usage", Kind::Gauge, "Size of kernel memory allocated in bytes.", |d| {
        whole(d.sample.memory.kernel)
    }),
    ("container_memory_mapped_file", Kind::Gauge, "Size of memory mapped files in bytes.", |d| {
        whole(d.sample.memory.mapped_file)
    }),
    ("container_memory_max_usage_bytes", Kind::Gauge, "Maximum memory usage recorded in bytes", |d| {
        whole(d.sample.memory.max_usage)
    }),
    ("container_memory_rss", Kind::Gauge, "Size of RSS in bytes.", |d| whole(d.sample.memory.rss)),
    ("container_memory_swap", Kind::Gauge, "Container swap usage in bytes.", |d| whole(d.sample.memory.swap)),
    ("container_memory_total_active_file_bytes", Kind::Gauge, "Current total active file in bytes.", |d| {
        whole(d.sample.memory.active_file)
    }),
    ("container_memory_total_inactive_file_bytes", Kind::Gauge, "Current total inactive file in bytes.", |d| {
        whole(d.sample.memory.inactive_file)
    }),
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
    ("container_sockets", Kind::Gauge, "Number of open sockets for the container.", |d| whole(d.open_files.sockets)),
    ("container_spec_cpu_period", Kind::Gauge, "CPU period of the container.", |d| whole(d.sample.cpu.period)),
    ("container_spec_cpu_quota", Kind::Gauge, "CPU quota of the container.", |d| whole(d.sample.cpu.quota)),
    ("container_spec_cpu_shares", Kind::Gauge, "CPU share of the container.", |d| whole(d.sample.cpu.shares)),
    ("container_spec_memory_limit_bytes", Kind::Gauge, "Memory limit for the container.", |d| {
        Some(d.sample.memory.limit.unwrap_or(0) as f64)
    }),
    (
        "container_spec_memory_reservation_limit_bytes",
        Kind::Gauge,
        "Memory reservation limit for the container.",
        |d| Some(d.sample.memory.reservation.unwrap_or(0) as f64),
    ),
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

/// Prints all readings, family by family, and those of the machine; `None` if they could not be measured, which is
/// reported.
pub fn print(details: Option<&CgroupDetails>, machine: Option<&MachineShape>, page: &mut Page) {
    let failed = |name, help, failed: bool, page: &mut Page| {
        page.family(name, Kind::Gauge, help);
        page.sample(name, &[], f64::from(u8::from(failed)), None);
    };
    let help = "1 if there was an error while getting machine metrics, 0 otherwise.";
    failed("machine_scrape_error", help, machine.is_none(), page);
    let help = "1 if there was an error while getting container metrics, 0 otherwise";
    failed("container_scrape_error", help, details.is_none(), page);
    if let Some(machine) = machine {
        print_machine(machine, page);
    }
    if let Some(details) = details {
        print_cgroups(&details.cgroups, &details.disks, page);
    }
}

fn print_cgroups(details: &[CgroupDetail], disks: &[DiskCounters], page: &mut Page) {
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
                for scope in ["container", "hierarchy"] {
                    put(&[("failure_type", kind), ("scope", scope)], count as f64);
                }
            }
        }
    });
    let help = "Soft ulimit values for the container root process. Unlimited if -1, except priority and nice";
    series(page, "container_ulimits_soft", Kind::Gauge, help, details, |detail, put| {
        // For containers and sandboxes only: other cgroups have no main process.
        if let Some(limit) = detail.open_files.soft_limit.filter(|_| !detail.name.is_empty()) {
            put(&[("ulimit", "max_open_files")], limit as f64);
        }
    });
    disks::print(details, disks, page);
    for (name, help, value) in PER_INTERFACE {
        series(page, name, Kind::Counter, help, details, |detail, put| {
            for interface in &detail.interfaces {
                put(&[("interface", &interface.name)], value(interface) as f64);
            }
        });
    }
}

fn print_machine(machine: &MachineShape, page: &mut Page) {
    let labels = [
        ("boot_id", machine.boot_id.as_str()),
        ("machine_id", machine.machine_id.as_str()),
        ("system_uuid", machine.system_uuid.as_str()),
    ];
    let count = |n: Option<u32>| n.map(f64::from);
    for (name, help, value) in [
        ("machine_cpu_cores", "Number of logical CPU cores.", count(machine.cores)),
        ("machine_cpu_physical_cores", "Number of physical CPU cores.", count(machine.physical_cores)),
        ("machine_cpu_sockets", "Number of CPU sockets.", count(machine.sockets)),
        ("machine_memory_bytes", "Amount of memory installed on the machine.", whole(machine.memory)),
        ("machine_swap_bytes", "Amount of swap memory available on the machine.", whole(machine.swap)),
    ] {
        if let Some(value) = value {
            page.family(name, Kind::Gauge, help);
            page.sample(name, &labels, value, None);
        }
    }
}
