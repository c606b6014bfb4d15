//! Disks on `/metrics/cadvisor`: file systems, I/O of devices, and I/O of cgroups on them.
//!
//! As cAdvisor has it (`metrics/prometheus.go`): file system sizes and the kernel's statistics of a device at the root
//! cgroup, values of the I/O controller for all others. In addition: the size of a container's writable layer, which
//! cAdvisor does not report with containerd.

use super::series::series;
use crate::core::model::cgroup_sample::{CgroupDetail, DeviceSample, DiskCounters, FileSystemDetail};
use crate::telemetry::exposition::{Kind, Page};

type OfFileSystem = fn(&FileSystemDetail) -> u64;

const SIZES: &[(&str, &str, OfFileSystem)] = &[
    ("container_fs_inodes_free", "Number of available Inodes", |fs| fs.inodes_free),
    ("container_fs_inodes_total", "Number of Inodes", |fs| fs.inodes),
    ("container_fs_limit_bytes", "Number of bytes that can be consumed by the container on this filesystem.", |fs| {
        fs.capacity
    }),
    ("container_fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", |fs| {
        fs.used
    }),
];

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// A metric family of I/O: its value for a device, and the value from a cgroup's I/O controller if that counts it.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    of_device: Option<fn(&DiskCounters) -> f64>,
    of_cgroup: Option<fn(&DeviceSample) -> u64>,
}

const fn of_device(name: &'static str, kind: Kind, help: &'static str, value: fn(&DiskCounters) -> f64) -> Family {
    Family { name, kind, help, of_device: Some(value), of_cgroup: None }
}

const fn of_cgroup(name: &'static str, help: &'static str, value: fn(&DeviceSample) -> u64) -> Family {
    Family { name, kind: Kind::Counter, help, of_device: None, of_cgroup: Some(value) }
}

const fn of_both(
    name: &'static str,
    help: &'static str,
    device: fn(&DiskCounters) -> f64,
    cgroup: fn(&DeviceSample) -> u64,
) -> Family {
    Family { name, kind: Kind::Counter, help, of_device: Some(device), of_cgroup: Some(cgroup) }
}

const IO: &[Family] = &[
    of_device("container_fs_io_current", Kind::Gauge, "Number of I/Os currently in progress", |d| d.in_progress as f64),
    of_device(
        "container_fs_io_time_seconds_total",
        Kind::Counter,
        "Cumulative count of seconds spent doing I/Os",
        |d| seconds(d.busy_millis),
    ),
    of_device(
        "container_fs_io_time_weighted_seconds_total",
        Kind::Counter,
        "Cumulative weighted I/O time in seconds",
        |d| seconds(d.weighted_millis),
    ),
    of_device("container_fs_read_seconds_total", Kind::Counter, "Cumulative count of seconds spent reading", |d| {
        seconds(d.read_millis)
    }),
    of_cgroup("container_fs_reads_bytes_total", "Cumulative count of bytes read", |d| d.read_bytes),
    of_device("container_fs_reads_merged_total", Kind::Counter, "Cumulative count of reads merged", |d| {
        d.reads_merged as f64
    }),
    of_both("container_fs_reads_total", "Cumulative count of reads completed", |d| d.reads as f64, |d| d.reads),
    of_device("container_fs_sector_reads_total", Kind::Counter, "Cumulative count of sector reads completed", |d| {
        d.sectors_read as f64
    }),
    of_device("container_fs_sector_writes_total", Kind::Counter, "Cumulative count of sector writes completed", |d| {
        d.sectors_written as f64
    }),
    of_device("container_fs_write_seconds_total", Kind::Counter, "Cumulative count of seconds spent writing", |d| {
        seconds(d.write_millis)
    }),
    of_cgroup("container_fs_writes_bytes_total", "Cumulative count of bytes written", |d| d.written_bytes),
    of_device("container_fs_writes_merged_total", Kind::Counter, "Cumulative count of writes merged", |d| {
        d.writes_merged as f64
    }),
    of_both("container_fs_writes_total", "Cumulative count of writes completed", |d| d.writes as f64, |d| d.writes),
];

/// The device file for a number such as `8:0`; the number itself if the machine has no such disk.
fn device_name(number: &str, disks: &[DiskCounters]) -> String {
    let disk = disks.iter().find(|disk| disk.number == number);
    disk.map_or_else(|| number.to_owned(), |disk| format!("/dev/{}", disk.name))
}

/// Prints the metric families of disks.
pub(super) fn print(details: &[CgroupDetail], disks: &[DiskCounters], page: &mut Page) {
    for (name, help, value) in SIZES {
        series(page, name, Kind::Gauge, help, details, |detail, put| {
            for fs in &detail.filesystems {
                put(&[("device", &fs.device)], value(fs) as f64);
            }
        });
    }
    for family in IO {
        series(page, family.name, family.kind, family.help, details, |detail, put| {
            // A device has one value: at the root the kernel's own statistics come first.
            let mut seen: Vec<&str> = Vec::new();
            if let Some(value) = family.of_device {
                for (fs, counters) in detail.filesystems.iter().filter_map(|fs| Some((fs, fs.counters.as_ref()?))) {
                    put(&[("device", &fs.device)], value(counters));
                    seen.push(&counters.number);
                }
            }
            let Some(value) = family.of_cgroup else { return };
            for device in detail.sample.io.iter().filter(|device| !seen.contains(&device.device.as_str())) {
                put(&[("device", &device_name(&device.device, disks))], value(device) as f64);
            }
        });
    }
    let (name, help) = ("container_blkio_device_usage_total", "Blkio Device bytes usage");
    series(page, name, Kind::Counter, help, details, |detail, put| {
        for device in &detail.sample.io {
            let file = device_name(&device.device, disks);
            let (major, minor) = device.device.split_once(':').unwrap_or((&device.device, ""));
            for (operation, bytes) in [("Read", device.read_bytes), ("Write", device.written_bytes)] {
                put(&[("device", &file), ("major", major), ("minor", minor), ("operation", operation)], bytes as f64);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::cgroup_sample::CgroupSample;

    #[test]
    fn devices_have_their_names_and_one_figure_each() {
        let disk = DiskCounters {
            number: "8:0".into(),
            name: "sda".into(),
            reads: 7,
            busy_millis: 1500,
            ..Default::default()
        };
        let io = |device: &str| DeviceSample { device: device.into(), read_bytes: 10, reads: 2, ..Default::default() };
        let root = CgroupDetail {
            id: "/".into(),
            sample: CgroupSample { io: vec![io("8:0")], ..CgroupSample::default() },
            filesystems: vec![FileSystemDetail {
                device: "/dev/sda".into(),
                capacity: 100,
                counters: Some(disk.clone()),
                ..Default::default()
            }],
            ..CgroupDetail::default()
        };
        let pod = CgroupDetail {
            id: "/pod".into(),
            sample: CgroupSample { io: vec![io("8:0"), io("9:9")], ..CgroupSample::default() },
            ..CgroupDetail::default()
        };
        let mut page = Page::default();
        print(&[root, pod], &[disk], &mut page);
        let text = page.finish();
        let lines = |name: &str| -> Vec<String> {
            let of_family = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
            let short = |line: &str| {
                let id = line.split_once("id=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
                let device = line.split_once("device=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
                format!("{id} {device} {}", line.split_whitespace().rev().nth(1).unwrap())
            };
            of_family.map(short).collect()
        };
        assert_eq!(lines("container_fs_limit_bytes"), ["/ /dev/sda 100"]);
        assert_eq!(lines("container_fs_reads_total"), ["/ /dev/sda 7", "/pod /dev/sda 2", "/pod 9:9 2"]);
        assert_eq!(lines("container_fs_reads_bytes_total"), ["/ /dev/sda 10", "/pod /dev/sda 10", "/pod 9:9 10"]);
        assert_eq!(lines("container_fs_io_time_seconds_total"), ["/ /dev/sda 1.5"]);
        assert_eq!(text.matches("# TYPE container_blkio_device_usage_total counter").count(), 1);
        assert!(text.contains("device=\"/dev/sda\",major=\"8\",minor=\"0\",operation=\"Read\"} 10"));
    }
}
