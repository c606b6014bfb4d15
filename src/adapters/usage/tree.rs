//! Reads cgroups by their path below the root, with either version mounted.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::core::model::cgroup::CgroupName;
use crate::core::model::cgroup_sample::CgroupSample;
use crate::core::model::{qos_class, uid_of};
use crate::core::usage::{CgroupFiles, parse_sample_v1, parse_sample_v2};
use crate::ports::kubelet::CgroupDriver;

#[derive(Clone, Debug)]
pub struct Tree {
    mount: PathBuf,
    root: String,
    driver: CgroupDriver,
    v2: bool,
}

impl Tree {
    /// Detects what is mounted.
    pub fn new(mount: PathBuf, root: String, driver: CgroupDriver) -> Self {
        let v2 = mount.join("cgroup.controllers").exists();
        Self { mount, root, driver, v2 }
    }

    fn path(&self, name: &CgroupName) -> String {
        match self.driver {
            CgroupDriver::Systemd => name.systemd_path(),
            CgroupDriver::Cgroupfs => name.cgroupfs_path(),
        }
    }

    /// Path of the cgroup of all pods.
    pub fn kubepods(&self) -> String {
        self.path(&CgroupName::kubepods(&self.root))
    }

    /// Path of a pod's cgroup.
    pub fn pod(&self, pod: &Pod) -> String {
        self.path(&CgroupName::pod(&self.root, qos_class(pod), &uid_of(pod)))
    }

    /// Path of a container or sandbox: the directory in its pod's cgroup that contains its id.
    pub fn container(&self, pod: &str, id: &str) -> Option<String> {
        // An empty name would be the pod's own directory.
        if id.is_empty() {
            return None;
        }
        // The names that containerd and CRI-O use come first, so that no directory has to be listed.
        let usual = [format!("cri-containerd-{id}.scope"), format!("crio-{id}.scope"), id.to_owned()];
        let there = |name: &String| self.directory("memory", &format!("{pod}/{name}")).is_dir();
        let found = usual.into_iter().find(there).or_else(|| {
            let entries = fs::read_dir(self.directory("memory", pod)).ok()?;
            let names = entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()));
            names.into_iter().find(|name| name.contains(id))
        })?;
        Some(format!("{pod}/{found}"))
    }

    /// The directory of a cgroup; the controller matters in version 1 only.
    pub fn directory(&self, controller: &str, path: &str) -> PathBuf {
        let base = if self.v2 { self.mount.clone() } else { self.mount.join(controller) };
        base.join(path.trim_start_matches('/'))
    }

    /// Reads a cgroup; `None` if it does not exist. `shallow` reads only CPU and memory.
    pub fn sample(&self, path: &str, shallow: bool) -> Option<CgroupSample> {
        if !self.directory("memory", path).is_dir() {
            return None;
        }
        let reader = Reader { tree: self, path, shallow };
        let now = Timestamp::now();
        Some(if self.v2 { parse_sample_v2(&reader, now) } else { parse_sample_v1(&reader, now) })
    }

    /// One process of the cgroup itself.
    pub fn first_process(&self, path: &str) -> Option<u32> {
        self.processes(path).first()?.parse().ok()
    }

    /// The processes of the cgroup itself.
    pub fn processes(&self, path: &str) -> Vec<String> {
        let text = fs::read_to_string(self.directory("memory", path).join("cgroup.procs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The cgroup of this process, below the root.
    pub fn own(&self, proc: &Path) -> Option<String> {
        let text = fs::read_to_string(proc.join("self/cgroup")).ok()?;
        let mut lines = text.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        });
        let wanted = if self.v2 { "" } else { "memory" };
        let (_, path) = lines.find(|(controllers, _)| controllers.split(',').any(|c| c == wanted))?;
        Some(path.to_owned()).filter(|path| path != "/")
    }
}

struct Reader<'a> {
    tree: &'a Tree,
    path: &'a str,
    shallow: bool,
}

impl CgroupFiles for Reader<'_> {
    fn read(&self, controller: &str, file: &str) -> Option<String> {
        let deep = file.starts_with("io.")
            || file.starts_with("blkio.")
            || file.starts_with("pids.")
            || file.starts_with("cgroup.")
            || file.ends_with(".pressure");
        if self.shallow && deep {
            return None;
        }
        fs::read_to_string(self.tree.directory(controller, self.path).join(file)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn containers_are_found_by_the_names_of_both_drivers() {
        let root = tempfile::tempdir().unwrap();
        file(root.path(), "cgroup.controllers", "cpu memory");
        let pod = "kubepods.slice/kubepods-podu_1.slice";
        file(root.path(), &format!("{pod}/cri-containerd-abc.scope/memory.current"), "7\n");
        file(root.path(), &format!("{pod}/other-def.scope/memory.current"), "8\n");
        let tree = Tree::new(root.path().into(), "/".into(), CgroupDriver::Systemd);
        assert_eq!(tree.kubepods(), "/kubepods.slice");
        let found = tree.container(&format!("/{pod}"), "abc").unwrap();
        assert_eq!(tree.sample(&found, true).unwrap().memory.usage, Some(7));
        assert!(tree.container(&format!("/{pod}"), "def").unwrap().ends_with("/other-def.scope"));
        assert_eq!(tree.container(&format!("/{pod}"), "none"), None);
        assert_eq!(tree.container(&format!("/{pod}"), ""), None);
        assert!(tree.sample("/kubepods.slice/none", false).is_none());
    }

    #[test]
    fn version_one_reads_each_controllers_own_tree() {
        let root = tempfile::tempdir().unwrap();
        file(root.path(), "memory/kubepods/podu/c/memory.usage_in_bytes", "9\n");
        file(root.path(), "cpuacct/kubepods/podu/c/cpuacct.usage", "5\n");
        file(root.path(), "pids/kubepods/podu/c/pids.current", "2\n");
        let tree = Tree::new(root.path().into(), String::new(), CgroupDriver::Cgroupfs);
        let path = tree.container("/kubepods/podu", "c").unwrap();
        let sample = tree.sample(&path, false).unwrap();
        assert_eq!((sample.memory.usage, sample.cpu.usage, sample.tasks), (Some(9), Some(5), Some(2)));
        assert_eq!(tree.sample(&path, true).unwrap().tasks, None);
    }
}
