//! The disk and the cgroup tree: what exists of each pod, by uid.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PodStatus;

use crate::core::model::PodKey;

/// Logs of one pod.
#[derive(Default)]
pub(super) struct Logs {
    pub key: Option<PodKey>,
    /// The numbers of the log files, by container.
    pub files: BTreeMap<String, BTreeSet<u32>>,
}

/// The content of the disk.
#[derive(Default)]
pub(super) struct Disk {
    pub dirs: BTreeSet<String>,
    pub volumes: BTreeSet<String>,
    pub cgroups: BTreeSet<String>,
    pub logs: BTreeMap<String, Logs>,
    pub statuses: BTreeMap<String, PodStatus>,
    pub refusals: BTreeMap<String, String>,
    /// Text of the node's resolv.conf; empty if it does not exist.
    pub resolv_conf: String,
    pub lacks_resolv_conf: bool,
    /// True if no more volumes can be attached.
    pub is_full: bool,
    /// The pods of the last update of the classes' weights, and whether these were all pods.
    pub weighed: Option<(BTreeSet<String>, bool)>,
}

impl Disk {
    /// True if everything that a container needs exists.
    pub fn is_ready(&self, uid: &str) -> bool {
        [&self.dirs, &self.volumes, &self.cgroups].iter().all(|set| set.contains(uid))
    }

    /// The runtime opens a container's log.
    pub fn log(&mut self, uid: &str, container: &str, attempt: u32) {
        self.logs.entry(uid.into()).or_default().files.entry(container.into()).or_default().insert(attempt);
    }

    pub fn leftovers(&self) -> Vec<String> {
        let sets = [("directory", &self.dirs), ("volumes", &self.volumes), ("cgroup", &self.cgroups)];
        let sets = sets.into_iter().flat_map(|(what, set)| set.iter().map(move |uid| format!("{what} of {uid}")));
        sets.chain(self.logs.keys().map(|uid| format!("logs of {uid}"))).collect()
    }
}
