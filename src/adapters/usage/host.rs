//! The machine itself, from `/proc`.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::core::model::cgroup_sample::{CgroupSample, DiskCounters, OpenFiles};
use crate::core::model::usage::{InterfaceUsage, PidUsage};
use crate::core::usage::{parse_disk_stats, parse_net_dev, parse_open_files_limit};

/// Most descriptors of one cgroup that are examined: a pod decides how many there are.
const MOST_DESCRIPTORS: u64 = 10_000;

/// The machine, read from `/proc`.
#[derive(Clone, Debug)]
pub struct Host {
    /// Mount point of proc, `/proc`.
    pub proc: PathBuf,
}

/// Memory of the machine in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMemory {
    pub total: u64,
    pub free: u64,
    pub swap_total: u64,
    pub swap_free: u64,
}

impl Host {
    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.proc.join(path)).unwrap_or_default()
    }

    /// Memory of the machine; zeros if it cannot be read.
    pub fn memory(&self) -> HostMemory {
        let text = self.read("meminfo");
        let kib = |key: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        let bytes = |key| kib(key).unwrap_or(0).saturating_mul(1024);
        HostMemory {
            total: bytes("MemTotal:"),
            free: bytes("MemFree:"),
            swap_total: bytes("SwapTotal:"),
            swap_free: bytes("SwapFree:"),
        }
    }

    /// When the machine booted.
    pub fn booted(&self) -> Timestamp {
        let text = self.read("stat");
        let seconds = text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        seconds.and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Process ids in use, and their limit.
    pub fn pids(&self) -> Option<PidUsage> {
        let limit = |path| self.read(path).trim().parse::<u64>().ok();
        let most = [limit("sys/kernel/pid_max"), limit("sys/kernel/threads-max")].into_iter().flatten().min()?;
        // The fourth field is `running/all`.
        let load = self.read("loadavg");
        let now = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
        Some(PidUsage { time: Timestamp::now(), maxpid: most, curproc: now })
    }

    /// CPU time of a process (`self` for this one) in nanoseconds; of all its threads so far, without its children
    /// (proc_pid_stat(5), utime and stime).
    pub fn processor_time(&self, process: &str) -> Option<u64> {
        let stat = self.read(&format!("{process}/stat"));
        // The name in parentheses may contain anything; the fields after it are numbers, from the third on.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut ticks = rest.split_whitespace().skip(11).map(str::parse::<u64>);
        let used = ticks.next()?.ok()?.saturating_add(ticks.next()?.ok()?);
        used.saturating_mul(1_000_000_000).checked_div(rustix::param::clock_ticks_per_second())
    }

    /// Name of a process's program.
    pub fn program(&self, process: &str) -> String {
        self.read(&format!("{process}/comm")).trim_end().to_owned()
    }

    /// Block devices with their statistics.
    pub fn disks(&self) -> Vec<DiskCounters> {
        parse_disk_stats(&self.read("diskstats"))
    }

    /// Open files of these processes, up to [`MOST_DESCRIPTORS`], and the limit of the first one. Only a process that
    /// may trace them can see what their descriptors are (proc_pid_fd(5)): the kubelet's unit may not.
    pub fn open_files(&self, processes: &[String]) -> OpenFiles {
        let (mut descriptors, mut sockets) = (0_u64, Some(0_u64));
        let folders = processes.iter().filter_map(|process| fs::read_dir(self.proc.join(process).join("fd")).ok());
        for descriptor in folders.flatten().flatten() {
            if descriptors >= MOST_DESCRIPTORS {
                break;
            }
            descriptors = descriptors.saturating_add(1);
            if let Some(found) = sockets {
                sockets = match fs::read_link(descriptor.path()) {
                    Ok(to) if to.to_string_lossy().starts_with("socket:") => Some(found.saturating_add(1)),
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
                    _ => Some(found),
                };
            }
        }
        let limits = processes.first().map(|first| self.read(&format!("{first}/limits")));
        OpenFiles { descriptors, sockets, soft_limit: limits.as_deref().and_then(parse_open_files_limit) }
    }

    /// Interfaces in the network namespace of a process; of the node for `None`.
    pub fn interfaces(&self, process: Option<u32>) -> Vec<InterfaceUsage> {
        parse_net_dev(&self.read(&format!("{}/net/dev", process.unwrap_or(1))))
    }

    /// The root cgroup of version 2 has no memory files: the machine's values are used instead.
    pub fn complete_root(&self, sample: &mut CgroupSample) {
        let memory = self.memory();
        if sample.memory.usage.is_none() {
            sample.memory.usage = Some(memory.total.saturating_sub(memory.free));
        }
        if sample.memory.swap.is_none() {
            sample.memory.swap = Some(memory.swap_total.saturating_sub(memory.swap_free));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_and_sockets_of_all_processes_are_counted() {
        let proc = tempfile::tempdir().unwrap();
        let open = |path: &str, to: &str| {
            let path = proc.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(to, path).unwrap();
        };
        open("7/fd/0", "/dev/null");
        open("7/fd/1", "socket:[12]");
        open("8/fd/3", "socket:[13]");
        fs::write(proc.path().join("7/limits"), "Max open files            1024      524288     files\n").unwrap();
        let host = Host { proc: proc.path().into() };
        let found = host.open_files(&["7".into(), "8".into(), "9".into()]);
        assert_eq!(found, OpenFiles { descriptors: 3, sockets: Some(2), soft_limit: Some(1024) });
        assert_eq!(host.open_files(&[]), OpenFiles { sockets: Some(0), ..OpenFiles::default() });
    }

    #[test]
    fn figures_come_from_proc_and_missing_files_do_no_harm() {
        let proc = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = proc.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let host = Host { proc: proc.path().into() };
        assert_eq!((host.memory(), host.pids().is_none()), (HostMemory::default(), true));
        write("meminfo", "MemTotal: 100 kB\nMemFree: 40 kB\nSwapTotal: 8 kB\nSwapFree: 6 kB\n");
        write("stat", "cpu 1 2\nbtime 1700000000\n");
        write("loadavg", "0.1 0.2 0.3 2/345 999\n");
        write("sys/kernel/pid_max", "32768\n");
        write("sys/kernel/threads-max", "1000\n");
        let pids = host.pids().unwrap();
        assert_eq!((pids.maxpid, pids.curproc, host.booted().as_second()), (1000, 345, 1_700_000_000));
        let mut root = CgroupSample::default();
        host.complete_root(&mut root);
        assert_eq!((root.memory.usage, root.memory.swap), (Some(60 * 1024), Some(2 * 1024)));
    }
}
