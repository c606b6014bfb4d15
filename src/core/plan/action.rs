//! The actions of a plan. Each carries everything it needs; executing it requires no decision.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{LifecycleHandler, Pod};

use crate::core::model::{ContainerId, ContainerKind, SandboxId};
use crate::cri;

/// One step of a plan; steps are executed in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Kill containers, all in parallel except where one waits for others.
    Kill(Vec<KillContainer>),
    /// Remove records of exited containers; their logs stay.
    Remove(Vec<ContainerId>),
    /// Stop sandboxes and release their network.
    StopSandboxes(Vec<SandboxId>),
    /// Remove stopped sandboxes with their containers.
    RemoveSandboxes(Vec<SandboxId>),
    /// Create the pod's sandbox. If it fails, the rest of the plan is skipped.
    CreateSandbox {
        /// Number of sandboxes the pod had before.
        attempt: u32,
    },
    /// Resize the pod's cgroup, and the runtime's record of it, to the resources of this pod.
    SizePod(Box<Pod>),
    /// Change a running container's resources.
    Update {
        /// Runtime id of the container.
        id: ContainerId,
        /// Name of the container in the pod.
        name: String,
        /// The resources to set.
        resources: Box<cri::LinuxContainerResources>,
        /// True if the memory limit is lowered: rejected if more memory is in use.
        shrinks_memory: bool,
    },
    /// Start a container. If that fails for an init container, the rest of the plan is skipped.
    Start(StartContainer),
}

/// Start one container in the newest sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct StartContainer {
    /// Name of the container in the pod.
    pub name: String,
    /// The list of the spec that it is in.
    pub kind: ContainerKind,
    /// Restart count according to the records; `None` if there are no records and it has to be derived from log files.
    pub attempt: Option<u32>,
    /// Back-off to raise after the start: its key, and the finish time of the last record.
    pub raise: Option<(String, Timestamp)>,
}

/// The killing of one container.
#[derive(Clone, Debug, PartialEq)]
pub struct KillContainer {
    /// Runtime id of the container.
    pub id: ContainerId,
    /// Name of the container in the pod.
    pub name: String,
    /// Kind of container, for the event's field path.
    pub kind: ContainerKind,
    /// Grace period in seconds for hook and signal together; 0 skips the hook and kills immediately.
    pub grace_seconds: i64,
    /// The preStop hook to run first; `None` if there is none.
    pub pre_stop: Option<LifecycleHandler>,
    /// Containers that must have exited before this one is signaled.
    pub after: Vec<ContainerId>,
    /// Message of the event `Killing`.
    pub message: String,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(kills) => {
                write!(f, "kill")?;
                kills.iter().try_for_each(|k| {
                    write!(f, " {}({}s", k.name, k.grace_seconds)?;
                    if !k.after.is_empty() {
                        write!(f, " after {:?}", k.after)?;
                    }
                    write!(f, ")")
                })
            }
            Self::Remove(ids) => write!(f, "remove {ids:?}"),
            Self::StopSandboxes(ids) => write!(f, "stop sandboxes {ids:?}"),
            Self::RemoveSandboxes(ids) => write!(f, "remove sandboxes {ids:?}"),
            Self::CreateSandbox { attempt } => write!(f, "create sandbox #{attempt}"),
            Self::SizePod(_) => write!(f, "size pod"),
            Self::Update { name, .. } => write!(f, "update {name}"),
            Self::Start(start) => match start.attempt {
                Some(attempt) => write!(f, "start {} #{attempt}", start.name),
                None => write!(f, "start {}", start.name),
            },
        }
    }
}
