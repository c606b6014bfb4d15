//! The machine and the kubelet's own process: facts that decide whether it may run, and settings at startup.

#![expect(clippy::disallowed_methods, reason = "/proc and /sys are memory; asked once, before anything runs")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::core::host::{HostFacts, TUNABLES, Tunable};

#[derive(Clone, Debug)]
pub struct LocalHost {
    proc: PathBuf,
    sys: PathBuf,
}

impl Default for LocalHost {
    fn default() -> Self {
        Self::at(Path::new("/"))
    }
}

impl LocalHost {
    /// A machine whose `/proc` and `/sys` are below `root`.
    pub fn at(root: &Path) -> Self {
        Self { proc: root.join("proc"), sys: root.join("sys") }
    }

    /// Reads the facts of the machine from `/proc` and `/sys`.
    pub fn observe(&self) -> HostFacts {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let value = |tunable: Tunable| read(self.tunable(tunable)).trim().parse().ok();
        HostFacts {
            cgroup_v1: !self.sys.join("fs/cgroup/cgroup.controllers").exists(),
            swaps: read(self.proc.join("swaps")),
            online_cpus: read(self.sys.join("devices/system/cpu/online")).trim().to_owned(),
            tunables: TUNABLES.into_iter().map(value).collect(),
        }
    }

    fn tunable(&self, tunable: Tunable) -> PathBuf {
        self.proc.join("sys").join(tunable.name)
    }

    /// Writes a kernel setting.
    ///
    /// # Errors
    /// The kernel rejects it.
    pub fn set(&self, tunable: Tunable) -> io::Result<()> {
        write(&self.tunable(tunable), &tunable.value.to_string())
    }

    /// Sets how likely the kernel kills this process when memory is short (`oomScoreAdj`; proc(5)).
    ///
    /// # Errors
    /// The kernel rejects it: lowering the value requires CAP_SYS_RESOURCE.
    pub fn set_oom_score(&self, score: i32) -> io::Result<()> {
        let path = self.proc.join("self/oom_score_adj");
        match fs::read_to_string(&path) {
            Ok(now) if now.trim() == score.to_string() => Ok(()),
            Ok(_) | Err(_) => write(&path, &score.to_string()),
        }
    }
}

/// Writes to a file of the kernel; a missing one is not created.
fn write(path: &Path, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

/// Sets the limit of open files of this process (`maxOpenFiles`); returns the limit then in force, which is lower if
/// the hard limit cannot be raised.
pub fn limit_files(wanted: u64) -> u64 {
    let before = getrlimit(Resource::Nofile);
    let hard = before.maximum.unwrap_or(u64::MAX);
    let whole = Rlimit { current: Some(wanted), maximum: before.maximum.map(|hard| hard.max(wanted)) };
    if setrlimit(Resource::Nofile, whole).is_ok() {
        return wanted;
    }
    let most = wanted.min(hard);
    match setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: before.maximum }) {
        Ok(()) => most,
        Err(_) => before.current.unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, LocalHost) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let host = LocalHost::at(root.path());
        (root, host)
    }

    #[test]
    fn facts_are_read_and_settings_written_below_proc_and_sys() {
        let (root, host) = machine(&[
            ("proc/swaps", "Filename\n/dev/sda2 partition\n"),
            ("proc/sys/vm/overcommit_memory", "0\n"),
            ("proc/self/oom_score_adj", "0\n"),
            ("sys/devices/system/cpu/online", "0-1\n"),
        ]);
        let facts = host.observe();
        assert!(facts.cgroup_v1 && facts.swaps.contains("/dev/sda2"));
        assert_eq!((facts.online_cpus.as_str(), facts.tunables[0], facts.tunables[1]), ("0-1", Some(0), None));
        host.set(TUNABLES[0]).unwrap();
        assert_eq!(host.observe().tunables[0], Some(1));
        assert!(host.set(TUNABLES[1]).is_err(), "a kernel without it");
        host.set_oom_score(-999).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("proc/self/oom_score_adj")).unwrap(), "-999");
    }
}
