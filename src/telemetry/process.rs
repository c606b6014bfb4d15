//! Metrics of this process under Prometheus' usual names.

#![expect(clippy::disallowed_methods, reason = "the kernel's own files, which are memory")]

use jiff::Timestamp;

use super::exposition::{Kind, Page};

/// When the machine started, by the kernel's clock.
pub fn boot_time() -> Option<Timestamp> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())?;
    Timestamp::from_second(seconds).ok()
}

/// Prints them; what cannot be read is left out.
pub fn print(page: &mut Page) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may contain anything; the fields after it are numbers.
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().skip(1).map(|f| f.parse().unwrap_or(0)).collect())
        .unwrap_or_default();
    let field = |i: usize| fields.get(i).map(|n| *n as f64);
    // Field numbers of proc_pid_stat(5), counted from its fourth field.
    let (user, system, start, size, resident) = (field(10), field(11), field(18), field(19), field(20));
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let page_size = rustix::param::page_size() as f64;
    let boot = boot_time().map(|at| at.as_second() as f64);
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    let mut one = |name, kind, help, value: Option<f64>| {
        if let Some(value) = value {
            page.family(name, kind, help);
            page.sample(name, &[], value, None);
        }
    };
    one(
        "process_cpu_seconds_total",
        Kind::Counter,
        "Total user and system CPU time spent in seconds.",
        user.zip(system).map(|(u, s)| (u + s) / ticks),
    );
    let limit = |resource| rustix::process::getrlimit(resource).current.map(|limit| limit as f64);
    one(
        "process_max_fds",
        Kind::Gauge,
        "Maximum number of open file descriptors.",
        limit(rustix::process::Resource::Nofile),
    );
    one("process_open_fds", Kind::Gauge, "Number of open file descriptors.", open);
    one(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Resident memory size in bytes.",
        resident.map(|pages| pages * page_size),
    );
    one(
        "process_start_time_seconds",
        Kind::Gauge,
        "Start time of the process since unix epoch in seconds.",
        boot.zip(start).map(|(boot, start)| boot + start / ticks),
    );
    one("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory size in bytes.", size);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_files_and_a_start() {
        let mut page = Page::default();
        print(&mut page);
        let text = page.finish();
        let value = |name: &str| {
            let line = text.lines().find(|l| l.starts_with(&format!("{name} "))).unwrap();
            line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_start_time_seconds") > 1.6e9);
    }
}
