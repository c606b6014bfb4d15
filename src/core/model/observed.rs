//! What the runtime says of one pod at one moment.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ContainerId, SandboxId};
use crate::cri;

/// Snapshot of a pod in the runtime; both lists are sorted newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// All sandboxes of the pod.
    pub sandboxes: Vec<ObservedSandbox>,
    /// All containers of the pod, also those of older sandboxes.
    pub containers: Vec<ObservedContainer>,
}

/// A sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedSandbox {
    /// Its id.
    pub id: SandboxId,
    /// How many sandboxes the pod had before.
    pub attempt: u32,
    /// Whether it is ready.
    pub ready: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it uses the node's network.
    pub host_network: bool,
    /// Its addresses as the runtime lists them.
    pub ips: Vec<String>,
}

/// State of a container in the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Ended.
    Exited,
    /// The runtime cannot tell.
    Unknown,
}

/// A container.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedContainer {
    /// Its id.
    pub id: ContainerId,
    /// Sandbox it runs in.
    pub sandbox: SandboxId,
    /// Name in the pod.
    pub name: String,
    /// Restart count of this record.
    pub attempt: u32,
    /// State.
    pub state: RunState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it exited.
    pub finished_at: Option<Timestamp>,
    /// Exit code of an exited container.
    pub exit_code: i32,
    /// The runtime's reason, e.g. `OOMKilled`.
    pub reason: String,
    /// Termination message, or the runtime's.
    pub message: String,
    /// Image as the runtime names it.
    pub image: String,
    /// Digested reference of the image.
    pub image_ref: String,
    /// Hash of image and name that the container was made with; empty when the record has none.
    pub hash: String,
    /// Log file.
    pub log_path: String,
    /// Limits in force.
    pub resources: Option<cri::LinuxContainerResources>,
    /// User it was started as.
    pub user: Option<cri::LinuxContainerUser>,
    /// Annotations (hook, termination message, ports), for a container whose spec is gone.
    pub annotations: BTreeMap<String, String>,
}

impl ObservedContainer {
    /// A record that was just made; nothing else is known of it.
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
    /// Newest record of a container.
    pub fn container(&self, name: &str) -> Option<&ObservedContainer> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// A record by id.
    pub fn by_id(&self, id: &ContainerId) -> Option<&ObservedContainer> {
        self.containers.iter().find(|c| &c.id == id)
    }

    /// Newest sandbox.
    pub fn sandbox(&self) -> Option<&ObservedSandbox> {
        self.sandboxes.first()
    }

    /// Whether the runtime has anything of the pod.
    pub fn is_empty(&self) -> bool {
        self.sandboxes.is_empty() && self.containers.is_empty()
    }

    /// Containers that run, or may run.
    pub fn alive(&self) -> impl Iterator<Item = &ObservedContainer> {
        self.containers.iter().filter(|c| matches!(c.state, RunState::Running | RunState::Unknown))
    }

    /// Containers of the newest sandbox, if that is ready.
    pub fn active(&self) -> impl Iterator<Item = &ObservedContainer> {
        let ready = self.sandbox().filter(|s| s.ready).map(|s| s.id.clone());
        self.containers.iter().filter(move |c| Some(&c.sandbox) == ready.as_ref())
    }

    /// Puts both lists into their order, newest first.
    pub fn sort(&mut self) {
        self.sandboxes.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        self.containers.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
    }
}
