//! The kernel's cgroup files, version 1 (also hybrid) and version 2.
//!
//! A controller that is missing or rejects a value only causes a warning: a node without it still runs pods, without
//! that limit, as it would with upstream's kubelet.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::tree;
use crate::core::model::cgroup::{CgroupLimits, pod_uid_of_dir, weight_of_shares};
use crate::core::model::{PodUid, with_causes};

/// Controllers whose limits are set (those supported by upstream).
const CONTROLLERS: [&str; 6] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "hugetlb"];

/// The mounted hierarchies below `/sys/fs/cgroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// One directory per controller, some of them shared.
    V1 {
        /// Roots of the controllers whose limits are set.
        controllers: Vec<PathBuf>,
        /// Root of the freezer, by which runtimes freeze containers while they change them.
        freezer: Option<PathBuf>,
    },
    /// A single tree for all controllers.
    V2(PathBuf),
}

impl Hierarchy {
    /// Detects what is mounted below `root`.
    pub fn detect(root: &Path) -> Self {
        if root.join("cgroup.controllers").exists() {
            return Self::V2(root.to_path_buf());
        }
        // cpu and cpuacct are usually links to the same hierarchy.
        let real = |name: &&str| fs::canonicalize(root.join(name)).ok().filter(|p| p.is_dir());
        let all: BTreeSet<PathBuf> = CONTROLLERS.iter().filter_map(real).collect();
        Self::V1 { controllers: all.into_iter().collect(), freezer: real(&"freezer") }
    }

    fn roots(&self) -> &[PathBuf] {
        match self {
            Self::V1 { controllers, .. } => controllers,
            Self::V2(root) => std::slice::from_ref(root),
        }
    }

    /// Including those where only runtimes create cgroups, which nothing else cleans up.
    fn all_roots(&self) -> impl Iterator<Item = &PathBuf> {
        let freezer = match self {
            Self::V1 { freezer, .. } => freezer.as_ref(),
            Self::V2(_) => None,
        };
        self.roots().iter().chain(freezer)
    }

    /// True if the cgroup exists in every hierarchy that can contain it.
    pub fn exists(&self, path: &str) -> bool {
        !self.roots().is_empty() && self.roots().iter().all(|root| below(root, path).is_dir())
    }

    /// True if the cgroup exists in any hierarchy.
    pub fn is_anywhere(&self, path: &str) -> bool {
        self.roots().iter().any(|root| below(root, path).is_dir())
    }

    /// Creates the cgroup and its parents in every hierarchy. An error only if it could not be created in any.
    pub fn create(&self, path: &str) -> io::Result<()> {
        let mut failure = None;
        let mut made = false;
        for root in self.roots() {
            match self.create_in(root, path) {
                Ok(()) => made = true,
                Err(error) => {
                    tracing::warn!(hierarchy = %root.display(), path, error = with_causes(&error), "cgroup not created");
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if !made => Err(error),
            _ => Ok(()),
        }
    }

    fn create_in(&self, root: &Path, path: &str) -> io::Result<()> {
        let mut dir = root.to_path_buf();
        for part in path.split('/').filter(|p| !p.is_empty()) {
            if matches!(self, Self::V2(_)) {
                delegate(&dir);
            }
            let parent = dir.clone();
            dir.push(part);
            match fs::create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
            if matches!(self, Self::V1 { .. }) {
                inherit_cpuset(&parent, &dir);
            }
        }
        Ok(())
    }

    /// Sets the limits that are present, and leaves the others.
    pub fn set(&self, path: &str, limits: &CgroupLimits) {
        for (file, value) in self.values(limits) {
            for dir in self.roots().iter().map(|root| below(root, path)).filter(|dir| self.holds(dir, &file)) {
                if let Err(error) = fs::write(dir.join(&file), &value) {
                    tracing::warn!(path, file, value, error = with_causes(&error), "cgroup limit not set");
                }
            }
        }
    }

    /// True if a file belongs in this directory: in version 1 each controller has its own.
    fn holds(&self, dir: &Path, file: &str) -> bool {
        let Self::V1 { controllers: roots, .. } = self else { return true };
        let controller = file.split('.').next().unwrap_or_default();
        let root = roots.iter().find(|root| dir.starts_with(root));
        let name = root.and_then(|root| root.file_name()).and_then(|n| n.to_str()).unwrap_or_default();
        name.split(',').any(|part| part == controller)
    }

    fn values(&self, limits: &CgroupLimits) -> Vec<(String, String)> {
        let v2 = matches!(self, Self::V2(_));
        let mut values = Vec::new();
        let mut set = |file: &str, value: String| values.push((file.to_owned(), value));
        if let Some(shares) = limits.cpu_shares {
            set(if v2 { "cpu.weight" } else { "cpu.shares" }, self.weight_of(shares).to_string());
        }
        let period = limits.cpu_period.unwrap_or(100_000);
        match limits.cpu_quota {
            Some(quota) if v2 && quota > 0 => set("cpu.max", format!("{quota} {period}")),
            Some(_) if v2 => set("cpu.max", format!("max {period}")),
            Some(quota) => {
                set("cpu.cfs_period_us", period.to_string());
                set("cpu.cfs_quota_us", if quota > 0 { quota } else { -1 }.to_string());
            }
            None => {}
        }
        if let Some(memory) = limits.memory.filter(|m| *m > 0) {
            set(if v2 { "memory.max" } else { "memory.limit_in_bytes" }, memory.to_string());
        }
        if let Some(pids) = limits.pids {
            set("pids.max", if pids > 0 { pids.to_string() } else { "max".to_owned() });
        }
        for (size, bytes) in &limits.huge_pages {
            let suffix = if v2 { "max" } else { "limit_in_bytes" };
            set(&format!("hugetlb.{}.{suffix}", page_size_name(*size)), bytes.to_string());
        }
        values
    }

    /// The CPU weight of a cgroup, on the scale of [`Hierarchy::weight_of`].
    pub fn cpu_weight(&self, path: &str) -> Option<u64> {
        let file = if matches!(self, Self::V2(_)) { "cpu.weight" } else { "cpu.shares" };
        let mut dirs = self.roots().iter().map(|root| below(root, path)).filter(|dir| self.holds(dir, file));
        fs::read_to_string(dirs.next()?.join(file)).ok()?.trim().parse().ok()
    }

    /// The kernel's value for a number of shares: the shares, or the weight in version 2.
    pub fn weight_of(&self, shares: u64) -> u64 {
        if matches!(self, Self::V2(_)) { weight_of_shares(shares) } else { shares }
    }

    /// Names of the pods with a cgroup directly below `path`.
    pub fn pods_in(&self, path: &str) -> BTreeSet<PodUid> {
        let dirs = self.all_roots().flat_map(|root| children(&below(root, path)));
        dirs.filter_map(|dir| pod_uid_of_dir(dir.file_name()?.to_str()?)).collect()
    }

    /// Kills every remaining process in the cgroup and below it.
    ///
    /// A runtime that crashes while it changes a container leaves it frozen, and a frozen process of version 1 cannot
    /// be killed: such cgroups are thawed first.
    pub fn kill(&self, path: &str) {
        if let Self::V1 { freezer: Some(freezer), .. } = self {
            tree::thaw(&below(freezer, path));
        }
        let mut left = BTreeSet::new();
        for root in self.roots() {
            tree::processes(&below(root, path), &mut left);
        }
        for pid in left.into_iter().filter_map(rustix::process::Pid::from_raw) {
            tracing::warn!(pid = pid.as_raw_nonzero().get(), path, "killing a process left in a pod's cgroup");
            // A process that exited meanwhile is fine.
            _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// Removes the cgroup and everything below it. "Not found" is success.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        for root in self.all_roots() {
            tree::remove(&below(root, path))?;
        }
        Ok(())
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Delegates every available controller to the children; one write each, because a rejected one would invalidate all.
fn delegate(dir: &Path) {
    for controller in ["cpu", "cpuset", "memory", "pids", "hugetlb", "io"] {
        if let Err(error) = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}")) {
            tracing::debug!(dir = %dir.display(), controller, error = with_causes(&error), "cgroup controller not delegated to children");
        }
    }
}

/// A new cpuset of version 1 is empty and accepts no process until it has processors and memory nodes.
fn inherit_cpuset(parent: &Path, dir: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let empty = fs::read_to_string(dir.join(file)).is_ok_and(|text| text.trim().is_empty());
        if let (true, Ok(value)) = (empty, fs::read(parent.join(file)))
            && let Err(error) = fs::write(dir.join(file), value)
        {
            tracing::warn!(dir = %dir.display(), file, error = with_causes(&error), "cpuset not inherited");
        }
    }
}

/// The cgroups below this one; none if it does not exist.
fn children(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

/// The hugetlb controller's name of a page size: 64KB, 2MB, 1GB.
fn page_size_name(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 => format!("{}GB", b >> 30),
        b if b >= 1 << 20 => format!("{}MB", b >> 20),
        b => format!("{}KB", b >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> CgroupLimits {
        CgroupLimits {
            cpu_shares: Some(1024),
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            memory: Some(1 << 20),
            pids: Some(-1),
            huge_pages: [(2 << 20, 0)].into(),
        }
    }

    fn read(path: PathBuf) -> String {
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    #[test]
    fn version_two_has_one_tree() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpu memory").unwrap();
        let tree = Hierarchy::detect(root.path());
        tree.create("/kubepods/podx").unwrap();
        tree.set("/kubepods/podx", &limits());
        let pod = root.path().join("kubepods/podx");
        assert_eq!(read(pod.join("cpu.weight")), "39");
        assert_eq!(read(pod.join("cpu.max")), "50000 100000");
        assert_eq!(read(pod.join("memory.max")), "1048576");
        assert_eq!(read(pod.join("pids.max")), "max");
        assert_eq!(read(pod.join("hugetlb.2MB.max")), "0");
        assert!(read(root.path().join("kubepods/cgroup.subtree_control")).starts_with('+'));
        assert_eq!(tree.pods_in("/kubepods").into_iter().collect::<Vec<_>>(), [PodUid::from("x")]);
    }

    #[test]
    fn version_one_puts_each_file_into_its_controller() {
        let root = tempfile::tempdir().unwrap();
        for name in ["cpu,cpuacct", "memory", "cpuset"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        for link in ["cpu", "cpuacct"] {
            std::os::unix::fs::symlink("cpu,cpuacct", root.path().join(link)).unwrap();
        }
        let tree = Hierarchy::detect(root.path());
        assert_eq!(tree.roots().len(), 3);
        tree.create("/kubepods").unwrap();
        tree.set("/kubepods", &limits());
        assert_eq!(read(root.path().join("cpu/kubepods/cpu.shares")), "1024");
        assert_eq!(read(root.path().join("cpu/kubepods/cpu.cfs_quota_us")), "50000");
        assert_eq!(read(root.path().join("memory/kubepods/memory.limit_in_bytes")), "1048576");
        assert!(!root.path().join("memory/kubepods/cpu.shares").exists());
        assert!(tree.exists("/kubepods") && !tree.exists("/kubepods/podx"));
    }

    #[test]
    fn what_was_left_frozen_is_thawed_from_the_top() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["cpu", "freezer/pod/scope"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        for state in ["freezer/pod/freezer.state", "freezer/pod/scope/freezer.state"] {
            fs::write(root.path().join(state), "FROZEN\n").unwrap();
        }
        let tree = Hierarchy::detect(root.path());
        tree.kill("/pod");
        tree.kill("/nothing/there");
        assert_eq!(read(root.path().join("freezer/pod/freezer.state")), "THAWED");
        assert_eq!(read(root.path().join("freezer/pod/scope/freezer.state")), "THAWED");
    }

    #[test]
    fn a_cgroup_in_no_hierarchy_is_an_error_and_in_some_is_not() {
        let root = tempfile::tempdir().unwrap();
        for name in ["cpu", "memory"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let tree = Hierarchy::detect(root.path());
        fs::write(root.path().join("cpu/kubepods"), "in the way").unwrap();
        tree.create("/kubepods/podx").unwrap();
        fs::write(root.path().join("memory/other"), "").unwrap();
        fs::write(root.path().join("cpu/other"), "").unwrap();
        assert!(tree.create("/other/podx").is_err());
    }
}
