//! Eviction signals, and how they are derived from the node's usage.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::core::model::usage::{FsUsage, NodeUsage};

/// A resource of the node that can run short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// `memory.available` of the node, in bytes.
    Memory,
    /// `allocatableMemory.available`: memory available to pods, in bytes.
    AllocatableMemory,
    /// `nodefs.available`: space on the kubelet's file system, in bytes.
    NodeFs,
    /// `nodefs.inodesFree`: inodes on the kubelet's file system.
    NodeFsInodes,
    /// `imagefs.available`: space on the runtime's image file system, in bytes.
    ImageFs,
    /// `imagefs.inodesFree`: inodes on the runtime's image file system.
    ImageFsInodes,
    /// `containerfs.available`: space for writable layers, in bytes.
    ContainerFs,
    /// `containerfs.inodesFree`: inodes for writable layers.
    ContainerFsInodes,
    /// `pid.available`: processes that can still be started.
    Pid,
}

impl Signal {
    /// The signal of a name in the configuration; `None` if there is none.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "memory.available" => Self::Memory,
            "allocatableMemory.available" => Self::AllocatableMemory,
            "nodefs.available" => Self::NodeFs,
            "nodefs.inodesFree" => Self::NodeFsInodes,
            "imagefs.available" => Self::ImageFs,
            "imagefs.inodesFree" => Self::ImageFsInodes,
            "containerfs.available" => Self::ContainerFs,
            "containerfs.inodesFree" => Self::ContainerFsInodes,
            "pid.available" => Self::Pid,
            _ => return None,
        })
    }

    /// The configuration's word, which is also its label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory.available",
            Self::AllocatableMemory => "allocatableMemory.available",
            Self::NodeFs => "nodefs.available",
            Self::NodeFsInodes => "nodefs.inodesFree",
            Self::ImageFs => "imagefs.available",
            Self::ImageFsInodes => "imagefs.inodesFree",
            Self::ContainerFs => "containerfs.available",
            Self::ContainerFsInodes => "containerfs.inodesFree",
            Self::Pid => "pid.available",
        }
    }

    /// The resource, as messages name it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Memory | Self::AllocatableMemory => "memory",
            Self::NodeFs | Self::ImageFs | Self::ContainerFs => "ephemeral-storage",
            Self::NodeFsInodes | Self::ImageFsInodes | Self::ContainerFsInodes => "inodes",
            Self::Pid => "pids",
        }
    }

    /// True if removing images may help.
    pub fn is_disk(self) -> bool {
        matches!(self.resource(), "ephemeral-storage" | "inodes")
    }
}

/// When the figures of a signal were measured; `None` if they were not.
pub fn measured_at(node: &NodeUsage, signal: Signal) -> Option<Timestamp> {
    let of = |fs: Option<&FsUsage>| fs.map(|fs| fs.time);
    let pods = || node.system_containers.iter().find(|c| c.name == "pods").and_then(|c| c.memory.as_ref());
    match signal {
        Signal::Memory => node.memory.as_ref().map(|memory| memory.time),
        Signal::AllocatableMemory => pods().map(|memory| memory.time),
        Signal::NodeFs | Signal::NodeFsInodes => of(node.fs.as_ref()),
        Signal::ImageFs | Signal::ImageFsInodes => of(node.runtime.as_ref().and_then(|r| r.image_fs.as_ref())),
        Signal::ContainerFs | Signal::ContainerFsInodes => {
            of(node.runtime.as_ref().and_then(|r| r.container_fs.as_ref()))
        }
        Signal::Pid => node.rlimit.as_ref().map(|pids| pids.time),
    }
}

/// How much is left of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Amount that is available.
    pub available: u64,
    /// Total amount of the resource.
    pub capacity: u64,
}

/// Observations by signal; signals that could not be measured have no entry.
pub type Observations = BTreeMap<Signal, Observation>;

/// Derives the signals from the node's usage.
pub fn derive_observations(node: &NodeUsage) -> Observations {
    let mut found = Observations::new();
    let mut put = |signal, available: Option<u64>, capacity: Option<u64>| {
        if let (Some(available), Some(capacity)) = (available, capacity) {
            found.insert(signal, Observation { available, capacity });
        }
    };
    if let Some(memory) = &node.memory {
        let capacity = memory.available_bytes.zip(memory.working_set_bytes).map(|(a, w)| a.saturating_add(w));
        put(Signal::Memory, memory.available_bytes, capacity);
    }
    let pods = node.system_containers.iter().find(|c| c.name == "pods").and_then(|c| c.memory.as_ref());
    if let Some(memory) = pods {
        let capacity = memory.available_bytes.zip(memory.working_set_bytes).map(|(a, w)| a.saturating_add(w));
        put(Signal::AllocatableMemory, memory.available_bytes, capacity);
    }
    let mut put_fs = |bytes, inodes, fs: &Option<FsUsage>| {
        if let Some(fs) = fs {
            put(bytes, fs.available_bytes, fs.capacity_bytes);
            put(inodes, fs.inodes_free, fs.inodes);
        }
    };
    put_fs(Signal::NodeFs, Signal::NodeFsInodes, &node.fs);
    if let Some(runtime) = &node.runtime {
        put_fs(Signal::ImageFs, Signal::ImageFsInodes, &runtime.image_fs);
        put_fs(Signal::ContainerFs, Signal::ContainerFsInodes, &runtime.container_fs);
    }
    if let Some(pids) = &node.rlimit {
        put(Signal::Pid, Some(pids.maxpid.saturating_sub(pids.curproc)), Some(pids.maxpid));
    }
    found
}
