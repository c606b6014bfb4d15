//! What a plan may ask for. Every action carries all it needs; executing it leaves nothing to decide.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{LifecycleHandler, Pod};

use crate::core::model::{ContainerId, ContainerKind, SandboxId};
use crate::cri;

/// One step of a plan; steps are executed in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// End containers, all at once except where one waits for others.
    Kill(Vec<KillContainer>),
    /// Remove records of containers that ended; their logs stay.
    Remove(Vec<ContainerId>),
    /// Stop sandboxes and release their network.
    StopSandboxes(Vec<SandboxId>),
    /// Remove stopped sandboxes with their containers.
    RemoveSandboxes(Vec<SandboxId>),
    /// Make the pod's sandbox. When it fails, the rest of the plan is dropped.
    CreateSandbox {
        /// Number of sandboxes before it.
        attempt: u32,
    },
    /// Bring the pod's cgroup, and the runtime's idea of it, to the size of this pod.
    SizePod(Box<Pod>),
    /// Change a running container's resources.
    Update {
        /// Which record.
        id: ContainerId,
        /// Its name.
        name: String,
        /// The new values.
        resources: Box<cri::LinuxContainerResources>,
        /// The memory limit goes down: refused when more than that is in use.
        shrinks_memory: bool,
    },
    /// Start a container. When that fails for an init container, the rest of the plan is dropped.
    Start(StartContainer),
}

/// Start one container in the newest sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct StartContainer {
    /// Name in the pod.
    pub name: String,
    /// Kind of container.
    pub kind: ContainerKind,
    /// Restart count as the records tell; none when the runtime has none and the log files must be asked.
    pub attempt: Option<u32>,
    /// Back-off to raise once it is started: key and the time the last record finished.
    pub raise: Option<(String, Timestamp)>,
}

/// End one container.
#[derive(Clone, Debug, PartialEq)]
pub struct KillContainer {
    /// Which record.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Kind, for the event's field path.
    pub kind: ContainerKind,
    /// Seconds for hook and signal together; 0 skips the hook and kills at once.
    pub grace_seconds: i64,
    /// Hook to run first.
    pub pre_stop: Option<LifecycleHandler>,
    /// Containers that must have ended before this one gets its signal.
    pub after: Vec<ContainerId>,
    /// Text of the event `Killing`.
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
