//! State shared by all measurements: paths, and rates of CPU time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::disk::Directories;
use super::host::Host;
use super::tree::Tree;
use crate::core::model::cgroup_sample::CgroupSample;
use crate::core::usage::Rate;
use crate::ports::kubelet::CgroupDriver;

/// A cgroup that was not measured for this long is dropped.
const FORGET: SignedDuration = SignedDuration::from_mins(10);

/// Paths and settings of the measurements.
#[derive(Clone, Debug)]
pub struct UsageOptions {
    /// Name of the Node object.
    pub node_name: String,
    pub cgroup_mount: PathBuf,
    pub cgroup_root: String,
    pub driver: CgroupDriver,
    pub proc: PathBuf,
    pub sys: PathBuf,
    /// The kubelet's directory, `/var/lib/kubelet`.
    pub root_dir: PathBuf,
    /// How long a directory size is cached; `None` disables measuring volumes (`volumeStatsAggPeriod`).
    pub volumes: Option<Duration>,
    /// Whether the runtime's figures of pods take the place of those of cgroups (`PodAndContainerStatsFromCRI`).
    pub from_runtime: bool,
}

/// State shared by all measurements.
pub(super) struct Shared {
    pub(super) options: UsageOptions,
    pub(super) tree: Tree,
    pub(super) host: Host,
    pub(super) directories: Directories,
    pub(super) rates: Mutex<HashMap<String, (Rate, Timestamp)>>,
}

impl Shared {
    pub(super) fn new(options: UsageOptions) -> Self {
        let tree = Tree::new(options.cgroup_mount.clone(), options.cgroup_root.clone(), options.driver);
        let host = Host { proc: options.proc.clone() };
        let directories = Directories::new(options.volumes);
        Self { options, tree, host, directories, rates: Mutex::default() }
    }

    /// CPU rate of a cgroup, from this reading and an earlier one.
    pub(super) fn rate(&self, path: &str, sample: &CgroupSample) -> Option<u64> {
        let usage = sample.cpu.usage?;
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if !rates.contains_key(path) {
            rates.retain(|_, (_, asked)| sample.at.duration_since(*asked) < FORGET);
        }
        let (rate, asked) = rates.entry(path.to_owned()).or_insert((Rate::default(), sample.at));
        *asked = sample.at;
        rate.push(sample.at, usage)
    }
}
