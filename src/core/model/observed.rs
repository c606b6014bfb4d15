//! The state of one pod in the runtime at one point in time.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ContainerId, SandboxId};
use crate::cri;

/// Snapshot of a pod in the runtime; both lists are sorted newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// All sandboxes of the pod, also stopped ones.
    pub sandboxes: Vec<ObservedSandbox>,
    /// All containers of the pod, including those of older sandboxes.
    pub containers: Vec<ObservedContainer>,
}

/// A pod sandbox, as the runtime reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedSandbox {
    /// Id that the runtime gave it.
    pub id: SandboxId,
    /// Number of sandboxes the pod had before this one.
    pub attempt: u32,
    /// True in the runtime's state READY.
    pub ready: bool,
    /// When the runtime created it.
    pub created_at: Timestamp,
    /// True if it uses the node's network namespace.
    pub host_network: bool,
    /// IP addresses in the runtime's order, primary first; empty with the node's network.
    pub ips: Vec<String>,
}

/// State of a container in the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Created, but never started.
    Created,
    /// Started, and not exited yet.
    Running,
    /// Exited; its exit code is known.
    Exited,
    /// The runtime does not know.
    Unknown,
}

/// A container, as the runtime reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedContainer {
    /// Id that the runtime gave it.
    pub id: ContainerId,
    /// Id of the sandbox it runs in.
    pub sandbox: SandboxId,
    /// Name of the container in the pod.
    pub name: String,
    /// Restart count at its creation, from its metadata.
    pub attempt: u32,
    /// Its state at the time of the snapshot.
    pub state: RunState,
    /// When the runtime created it.
    pub created_at: Timestamp,
    /// When it was started; `None` if it never was.
    pub started_at: Option<Timestamp>,
    /// When it exited; `None` if it has not.
    pub finished_at: Option<Timestamp>,
    /// Exit code; only meaningful in state `Exited`.
    pub exit_code: i32,
    /// The runtime's reason, e.g. `OOMKilled`.
    pub reason: String,
    /// The termination message, or else the runtime's message.
    pub message: String,
    /// Image as the container's config names it.
    pub image: String,
    /// Reference of the image by digest, for `imageID`.
    pub image_ref: String,
    /// Hash of image and name at its creation; empty if the record has none.
    pub hash: String,
    /// Absolute path of the log file.
    pub log_path: String,
    /// Resource limits in force; `None` if the runtime does not report them.
    pub resources: Option<cri::LinuxContainerResources>,
    /// User that it runs as; `None` if the runtime does not report it.
    pub user: Option<cri::LinuxContainerUser>,
    /// Annotations (hook, termination message, ports), which are used if the container's spec is unknown.
    pub annotations: BTreeMap<String, String>,
}

impl ObservedContainer {
    /// A container that was just created, with nothing else known.
    pub fn made(id: ContainerId, sandbox: SandboxId, name: &str, created_at: Timestamp) -> Self {
        Self {
            id,
            sandbox,
            name: name.to_owned(),
            attempt: 0,
            state: RunState::Created,
            created_at,
            started_at: None,
            finished_at: None,
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            image: String::new(),
            image_ref: String::new(),
            hash: String::new(),
            log_path: String::new(),
            resources: None,
            user: None,
            annotations: BTreeMap::new(),
        }
    }
}

impl Observed {
    /// The newest record of a container; `None` if there is none.
    pub fn container(&self, name: &str) -> Option<&ObservedContainer> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// The record of this id; `None` if there is none.
    pub fn by_id(&self, id: &ContainerId) -> Option<&ObservedContainer> {
        self.containers.iter().find(|c| &c.id == id)
    }

    /// The newest sandbox; `None` if the pod has none.
    pub fn sandbox(&self) -> Option<&ObservedSandbox> {
        self.sandboxes.first()
    }

    /// True if the runtime has no sandbox and no container of the pod.
    pub fn is_empty(&self) -> bool {
        self.sandboxes.is_empty() && self.containers.is_empty()
    }

    /// Containers that run, or may be running.
    pub fn alive(&self) -> impl Iterator<Item = &ObservedContainer> {
        self.containers.iter().filter(|c| matches!(c.state, RunState::Running | RunState::Unknown))
    }

    /// Containers of the newest sandbox, if that is ready; otherwise none.
    pub fn active(&self) -> impl Iterator<Item = &ObservedContainer> {
        let ready = self.sandbox().filter(|s| s.ready).map(|s| s.id.clone());
        self.containers.iter().filter(move |c| Some(&c.sandbox) == ready.as_ref())
    }

    /// Sorts both lists, newest first.
    pub fn sort(&mut self) {
        self.sandboxes.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        self.containers.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
    }
}
