//! Parses the files of a cgroup, version 1 and 2, into one [`CgroupSample`].

use jiff::Timestamp;

use crate::core::model::cgroup_sample::{CgroupSample, CpuSample, DeviceSample, MemorySample};
use crate::core::model::usage::{Psi, PsiData};

/// Access to the files of one cgroup.
pub trait CgroupFiles {
    /// The text of a file; `controller` selects the hierarchy in version 1. `None` if it does not exist.
    fn read(&self, controller: &str, file: &str) -> Option<String>;
}

/// Unit of `cpuacct.stat` in version 1; 100 per second on every architecture of Linux.
const NANOS_PER_TICK: u64 = 10_000_000;
/// Version 1 shows "no limit" as the largest page-aligned number.
const UNLIMITED: u64 = 1 << 62;

fn number(text: Option<String>) -> Option<u64> {
    text?.trim().parse().ok()
}

fn limit(text: Option<String>) -> Option<u64> {
    number(text).filter(|n| *n < UNLIMITED)
}

fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Parses a cgroup of the unified hierarchy.
pub fn parse_sample_v2(files: &impl CgroupFiles, at: Timestamp) -> CgroupSample {
    let read = |name| files.read("", name);
    let micros = |text: &str, key| keyed(text, key).map(|n| n.saturating_mul(1000));
    let cpu = read("cpu.stat").unwrap_or_default();
    let cpu_max = read("cpu.max").unwrap_or_default();
    let (quota, period) = cpu_max.trim().split_once(' ').unwrap_or_default();
    let stat = read("memory.stat").unwrap_or_default();
    let events = read("memory.events").unwrap_or_default();
    CgroupSample {
        at,
        cpu: CpuSample {
            usage: micros(&cpu, "usage_usec"),
            user: micros(&cpu, "user_usec"),
            system: micros(&cpu, "system_usec"),
            periods: keyed(&cpu, "nr_periods"),
            throttled_periods: keyed(&cpu, "nr_throttled"),
            throttled: micros(&cpu, "throttled_usec"),
            burst_periods: keyed(&cpu, "nr_bursts"),
            burst: micros(&cpu, "burst_usec"),
            shares: number(read("cpu.weight"))
                .map(|weight| (weight.saturating_sub(1).saturating_mul(262_142) / 9999).saturating_add(2)),
            quota: quota.parse().ok(),
            period: period.parse().ok(),
        },
        memory: MemorySample {
            usage: number(read("memory.current")),
            max_usage: number(read("memory.peak")),
            kernel: keyed(&stat, "kernel"),
            inactive_file: keyed(&stat, "inactive_file"),
            active_file: keyed(&stat, "active_file"),
            rss: keyed(&stat, "anon"),
            cache: keyed(&stat, "file"),
            mapped_file: keyed(&stat, "file_mapped"),
            faults: keyed(&stat, "pgfault"),
            major_faults: keyed(&stat, "pgmajfault"),
            limit: limit(read("memory.max")),
            reservation: limit(read("memory.min")),
            limit_hits: keyed(&events, "max"),
            swap: number(read("memory.swap.current")),
            swap_limit: limit(read("memory.swap.max")),
            oom_kills: keyed(&events, "oom_kill"),
        },
        io: parse_io_v2(&read("io.stat").unwrap_or_default()),
        tasks: number(read("pids.current")),
        tasks_limit: limit(read("pids.max")),
        processes: read("cgroup.procs").map(|text| text.lines().count() as u64),
        cpu_pressure: read("cpu.pressure").as_deref().and_then(parse_pressure),
        memory_pressure: read("memory.pressure").as_deref().and_then(parse_pressure),
        io_pressure: read("io.pressure").as_deref().and_then(parse_pressure),
    }
}

/// Parses a cgroup of the separate hierarchies of version 1.
pub fn parse_sample_v1(files: &impl CgroupFiles, at: Timestamp) -> CgroupSample {
    let accounting = files.read("cpuacct", "cpuacct.stat").unwrap_or_default();
    let bandwidth = files.read("cpu", "cpu.stat").unwrap_or_default();
    let memory = |name| files.read("memory", name);
    let stat = memory("memory.stat").unwrap_or_default();
    let ticks = |key| keyed(&accounting, key).map(|n| n.saturating_mul(NANOS_PER_TICK));
    let usage = number(memory("memory.usage_in_bytes"));
    let memory_limit = limit(memory("memory.limit_in_bytes"));
    let with_swap = limit(memory("memory.memsw.limit_in_bytes"));
    CgroupSample {
        at,
        cpu: CpuSample {
            usage: number(files.read("cpuacct", "cpuacct.usage")),
            user: ticks("user"),
            system: ticks("system"),
            periods: keyed(&bandwidth, "nr_periods"),
            throttled_periods: keyed(&bandwidth, "nr_throttled"),
            throttled: keyed(&bandwidth, "throttled_time"),
            burst_periods: keyed(&bandwidth, "nr_bursts"),
            burst: keyed(&bandwidth, "burst_time"),
            shares: number(files.read("cpu", "cpu.shares")),
            // -1 means no quota, and does not parse as u64.
            quota: number(files.read("cpu", "cpu.cfs_quota_us")),
            period: number(files.read("cpu", "cpu.cfs_period_us")),
        },
        memory: MemorySample {
            usage,
            max_usage: number(memory("memory.max_usage_in_bytes")),
            kernel: number(memory("memory.kmem.usage_in_bytes")),
            inactive_file: keyed(&stat, "total_inactive_file"),
            active_file: keyed(&stat, "total_active_file"),
            rss: keyed(&stat, "total_rss"),
            cache: keyed(&stat, "total_cache"),
            mapped_file: keyed(&stat, "total_mapped_file"),
            faults: keyed(&stat, "total_pgfault"),
            major_faults: keyed(&stat, "total_pgmajfault"),
            limit: memory_limit,
            reservation: limit(memory("memory.soft_limit_in_bytes")),
            limit_hits: number(memory("memory.failcnt")),
            swap: keyed(&stat, "total_swap"),
            swap_limit: memory_limit.zip(with_swap).map(|(alone, both)| both.saturating_sub(alone)),
            oom_kills: memory("memory.oom_control").as_deref().and_then(|text| keyed(text, "oom_kill")),
        },
        io: parse_io_v1(
            &files.read("blkio", "blkio.throttle.io_service_bytes_recursive").unwrap_or_default(),
            &files.read("blkio", "blkio.throttle.io_serviced_recursive").unwrap_or_default(),
        ),
        tasks: number(files.read("pids", "pids.current")),
        tasks_limit: limit(files.read("pids", "pids.max")),
        processes: files.read("pids", "cgroup.procs").map(|text| text.lines().count() as u64),
        cpu_pressure: None,
        memory_pressure: None,
        io_pressure: None,
    }
}

/// Parses `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, the total in microseconds.
fn parse_pressure(text: &str) -> Option<Psi> {
    let line = |kind: &str| {
        let fields = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let field = |name: &str| fields.split_whitespace().find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        Some(PsiData {
            total: field("total")?.parse::<u64>().ok()?.saturating_mul(1000),
            avg10: field("avg10")?.parse().ok()?,
            avg60: field("avg60")?.parse().ok()?,
            avg300: field("avg300")?.parse().ok()?,
        })
    };
    // Older kernels have no `full` line for CPU.
    Some(Psi { some: line("some ")?, full: line("full ").unwrap_or_default() })
}

fn parse_io_v2(text: &str) -> Vec<DeviceSample> {
    let device = |line: &str| {
        let (device, fields) = line.split_once(' ')?;
        let field = |name: &str| {
            let found = fields.split_whitespace().find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
            found.and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        Some(DeviceSample {
            device: device.to_owned(),
            read_bytes: field("rbytes"),
            written_bytes: field("wbytes"),
            reads: field("rios"),
            writes: field("wios"),
        })
    };
    text.lines().filter_map(device).collect()
}

fn parse_io_v1(bytes: &str, operations: &str) -> Vec<DeviceSample> {
    let mut devices: Vec<DeviceSample> = Vec::new();
    for (text, is_bytes) in [(bytes, true), (operations, false)] {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(device), Some(what), Some(Ok(count))) =
                (words.next(), words.next(), words.next().map(str::parse::<u64>))
            else {
                continue;
            };
            if !devices.iter().any(|d| d.device == device) {
                devices.push(DeviceSample { device: device.to_owned(), ..DeviceSample::default() });
            }
            let Some(sample) = devices.iter_mut().find(|d| d.device == device) else { continue };
            match (what, is_bytes) {
                ("Read", true) => sample.read_bytes = count,
                ("Write", true) => sample.written_bytes = count,
                ("Read", false) => sample.reads = count,
                ("Write", false) => sample.writes = count,
                _ => {}
            }
        }
    }
    devices
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    struct Fixed(HashMap<&'static str, &'static str>);

    impl CgroupFiles for Fixed {
        fn read(&self, _controller: &str, file: &str) -> Option<String> {
            self.0.get(file).map(|text| (*text).to_owned())
        }
    }

    #[test]
    fn version_two_is_read() {
        let files = Fixed(HashMap::from([
            (
                "cpu.stat",
                "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 7\nnr_throttled 2\nthrottled_usec 30\n",
            ),
            ("cpu.max", "50000 100000\n"),
            ("cpu.weight", "39\n"),
            ("memory.current", "1000\n"),
            ("memory.max", "max\n"),
            ("memory.stat", "anon 100\nfile 400\ninactive_file 300\npgfault 9\npgmajfault 1\n"),
            ("memory.events", "low 0\nmax 4\noom 1\noom_kill 2\n"),
            ("cpu.pressure", "some avg10=1.50 avg60=0.20 avg300=0.00 total=12345\n"),
            ("io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n"),
            ("pids.current", "5\n"),
            ("cgroup.procs", "1\n2\n"),
        ]));
        let sample = parse_sample_v2(&files, Timestamp::UNIX_EPOCH);
        assert_eq!(
            (sample.cpu.usage, sample.cpu.throttled, sample.cpu.quota),
            (Some(1_500_000), Some(30_000), Some(50_000))
        );
        assert_eq!(sample.cpu.shares, Some(998), "weight 39 stands for about 1000 shares");
        assert_eq!(
            (sample.memory.working_set(), sample.memory.limit, sample.memory.oom_kills),
            (Some(700), None, Some(2))
        );
        let pressure = sample.cpu_pressure.unwrap();
        assert_eq!((pressure.some.avg10, pressure.some.total, pressure.full.total), (1.5, 12_345_000, 0));
        assert_eq!(
            (sample.io[0].read_bytes, sample.io[0].writes, sample.tasks, sample.processes),
            (10, 2, Some(5), Some(2))
        );
    }

    #[test]
    fn version_one_is_read_and_huge_limits_mean_none() {
        let files = Fixed(HashMap::from([
            ("cpuacct.usage", "123456789\n"),
            ("cpuacct.stat", "user 12\nsystem 3\n"),
            ("cpu.cfs_quota_us", "-1\n"),
            ("cpu.shares", "1024\n"),
            ("memory.usage_in_bytes", "1000\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.stat", "cache 1\ntotal_cache 400\ntotal_rss 100\ntotal_inactive_file 300\ntotal_pgfault 9\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            ("blkio.throttle.io_service_bytes_recursive", "8:0 Read 10\n8:0 Write 20\n8:0 Total 30\nTotal 30\n"),
            ("blkio.throttle.io_serviced_recursive", "8:0 Read 1\n8:0 Write 2\n"),
        ]));
        let sample = parse_sample_v1(&files, Timestamp::UNIX_EPOCH);
        assert_eq!((sample.cpu.usage, sample.cpu.user, sample.cpu.quota), (Some(123_456_789), Some(120_000_000), None));
        assert_eq!((sample.memory.limit, sample.memory.working_set()), (None, Some(700)));
        assert_eq!((sample.memory.oom_kills, sample.memory.cache), (Some(3), Some(400)));
        assert_eq!(
            sample.io,
            [DeviceSample { device: "8:0".into(), read_bytes: 10, written_bytes: 20, reads: 1, writes: 2 }]
        );
    }

    #[test]
    fn missing_and_hostile_files_give_nothing() {
        let files =
            Fixed(HashMap::from([("cpu.stat", "usage_usec\nusage_usec x"), ("memory.stat", "\0"), ("io.stat", "8:0")]));
        let sample = parse_sample_v2(&files, Timestamp::UNIX_EPOCH);
        assert_eq!(sample, CgroupSample { at: Timestamp::UNIX_EPOCH, ..CgroupSample::default() });
    }
}
