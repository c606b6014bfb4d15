//! Sandboxes and containers, as containerd stores them.

use jiff::Timestamp;

use crate::core::model::labels;
use crate::cri;

/// State of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    Created,
    Running,
    /// Exited, with this code.
    Exited(i32),
}

pub(super) struct Sandbox {
    pub id: String,
    pub config: cri::PodSandboxConfig,
    pub ready: bool,
    pub created_at: Timestamp,
}

pub(super) struct Container {
    pub id: String,
    pub sandbox: String,
    pub config: cri::ContainerConfig,
    pub run: Run,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub message: String,
}

/// A container, in the form for assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub id: String,
    /// Name of the container in the pod.
    pub name: String,
    pub attempt: u32,
    pub run: Run,
    /// Image of the spec.
    pub image: String,
}

fn nanoseconds(at: Option<Timestamp>) -> i64 {
    at.and_then(|at| i64::try_from(at.as_nanosecond()).ok()).unwrap_or_default()
}

impl Sandbox {
    /// The name, which is unique among sandboxes.
    pub fn name(config: &cri::PodSandboxConfig) -> String {
        let meta = config.metadata.clone().unwrap_or_default();
        format!("{}_{}_{}_{}", meta.name, meta.namespace, meta.uid, meta.attempt)
    }

    pub fn uid(&self) -> &str {
        self.config.metadata.as_ref().map_or("", |meta| &meta.uid)
    }

    fn state(&self) -> i32 {
        let ready = cri::PodSandboxState::SandboxReady;
        (if self.ready { ready } else { cri::PodSandboxState::SandboxNotready }) as i32
    }

    pub fn listed(&self) -> cri::PodSandbox {
        cri::PodSandbox {
            id: self.id.clone(),
            metadata: self.config.metadata.clone(),
            state: self.state(),
            created_at: nanoseconds(Some(self.created_at)),
            labels: self.config.labels.clone(),
            annotations: self.config.annotations.clone(),
            ..cri::PodSandbox::default()
        }
    }

    /// A stopped sandbox has released its address.
    pub fn status(&self) -> cri::PodSandboxStatus {
        let options = self.config.linux.as_ref().and_then(|l| l.security_context.as_ref()?.namespace_options.clone());
        let ip = if self.ready { "10.0.0.2".to_owned() } else { String::new() };
        cri::PodSandboxStatus {
            id: self.id.clone(),
            metadata: self.config.metadata.clone(),
            state: self.state(),
            created_at: nanoseconds(Some(self.created_at)),
            network: Some(cri::PodSandboxNetworkStatus { ip, additional_ips: Vec::new() }),
            linux: Some(cri::LinuxPodSandboxStatus { namespaces: Some(cri::Namespace { options }) }),
            labels: self.config.labels.clone(),
            annotations: self.config.annotations.clone(),
            ..cri::PodSandboxStatus::default()
        }
    }
}

impl Container {
    pub fn name(&self) -> &str {
        self.config.metadata.as_ref().map_or("", |meta| &meta.name)
    }

    pub fn attempt(&self) -> u32 {
        self.config.metadata.as_ref().map_or(0, |meta| meta.attempt)
    }

    pub fn uid(&self) -> &str {
        self.config.labels.get(labels::POD_UID).map_or("", String::as_str)
    }

    pub fn record(&self) -> Record {
        let image = self.config.image.clone().unwrap_or_default().user_specified_image;
        Record { id: self.id.clone(), name: self.name().into(), attempt: self.attempt(), run: self.run, image }
    }

    fn state(&self) -> i32 {
        match self.run {
            Run::Created => cri::ContainerState::ContainerCreated as i32,
            Run::Running => cri::ContainerState::ContainerRunning as i32,
            Run::Exited(_) => cri::ContainerState::ContainerExited as i32,
        }
    }

    pub fn listed(&self) -> cri::Container {
        cri::Container {
            id: self.id.clone(),
            pod_sandbox_id: self.sandbox.clone(),
            metadata: self.config.metadata.clone(),
            image: self.config.image.clone(),
            state: self.state(),
            created_at: nanoseconds(Some(self.created_at)),
            labels: self.config.labels.clone(),
            annotations: self.config.annotations.clone(),
            ..cri::Container::default()
        }
    }

    pub fn status(&self) -> cri::ContainerStatus {
        let (exit_code, reason) = match self.run {
            Run::Exited(0) => (0, "Completed"),
            Run::Exited(code) if code == START_ERROR => (code, "StartError"),
            Run::Exited(code) => (code, "Error"),
            Run::Created | Run::Running => (0, ""),
        };
        cri::ContainerStatus {
            id: self.id.clone(),
            metadata: self.config.metadata.clone(),
            state: self.state(),
            created_at: nanoseconds(Some(self.created_at)),
            started_at: nanoseconds(self.started_at),
            finished_at: nanoseconds(self.finished_at),
            exit_code,
            image: self.config.image.clone(),
            reason: reason.into(),
            message: self.message.clone(),
            labels: self.config.labels.clone(),
            annotations: self.config.annotations.clone(),
            mounts: self.config.mounts.clone(),
            log_path: format!("/var/log/pods/{}", self.config.log_path),
            ..cri::ContainerStatus::default()
        }
    }
}

/// Exit code of a process that was killed by SIGKILL.
pub(super) const KILLED: i32 = 137;
/// containerd's exit code of a process that could not be started.
pub(super) const START_ERROR: i32 = 128;
