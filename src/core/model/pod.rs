//! Basic helpers for pods, in addition to the API type.

use std::collections::BTreeSet;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod};

use super::{PodKey, PodUid};

/// Where a pod's definition comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodSource {
    /// A manifest file: a static pod.
    File(PathBuf),
    /// A manifest URL: a static pod.
    Http(String),
    /// The API server: an ordinary pod.
    Api,
}

impl PodSource {
    /// True for a static pod.
    pub fn is_static(&self) -> bool {
        matches!(self, Self::File(_) | Self::Http(_))
    }
}

/// The list of a pod's spec that contains a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContainerKind {
    /// An entry of `spec.initContainers` that runs to completion.
    Init,
    /// An entry of `spec.initContainers` with `restartPolicy: Always`.
    Sidecar,
    /// An entry of `spec.containers`.
    Regular,
    /// An entry of `spec.ephemeralContainers`.
    Ephemeral,
}

impl ContainerKind {
    /// The label `container_type` of upstream's metrics (`pkg/kubelet/metrics/metrics.go`).
    pub fn metric_label(self) -> &'static str {
        match self {
            Self::Regular => "container",
            Self::Init | Self::Sidecar => "init_container",
            Self::Ephemeral => "ephemeral_container",
        }
    }
}

/// The pod's uid; empty for a pod that has none.
pub fn uid_of(pod: &Pod) -> PodUid {
    PodUid::from(pod.metadata.uid.as_deref().unwrap_or_default())
}

/// The pod's namespace and name.
pub fn key_of(pod: &Pod) -> PodKey {
    PodKey::new(
        pod.metadata.namespace.as_deref().unwrap_or("default"),
        pod.metadata.name.as_deref().unwrap_or_default(),
    )
}

/// True for a phase that a pod never leaves.
pub fn is_terminal(pod_phase: Option<&str>) -> bool {
    matches!(pod_phase, Some("Failed" | "Succeeded"))
}

/// Field path of a container, for events.
pub fn field_path(kind: ContainerKind, name: &str) -> String {
    let list = match kind {
        ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
        ContainerKind::Regular => "containers",
        ContainerKind::Ephemeral => "ephemeralContainers",
    };
    format!("spec.{list}{{{name}}}")
}

/// All containers of the pod in the order init, regular, ephemeral.
///
/// An ephemeral container is converted to the equivalent [`Container`], so that one function can render all kinds.
pub fn containers_of(pod: &Pod) -> Vec<(ContainerKind, Container)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let init = spec.init_containers.iter().flatten().map(|c| {
        let sidecar = c.restart_policy.as_deref() == Some("Always");
        (if sidecar { ContainerKind::Sidecar } else { ContainerKind::Init }, c.clone())
    });
    let regular = spec.containers.iter().map(|c| (ContainerKind::Regular, c.clone()));
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|c| (ContainerKind::Ephemeral, as_container(c)));
    init.chain(regular).chain(ephemeral).collect()
}

/// Names of the volumes that some container of the pod mounts or maps. Others are not set up, so their objects and
/// claims may be missing (upstream `GetPodVolumeNames`, `desired_state_of_world_populator.go`).
pub fn used_volumes(pod: &Pod) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (_, container) in containers_of(pod) {
        used.extend(container.volume_mounts.into_iter().flatten().map(|mount| mount.name));
        used.extend(container.volume_devices.into_iter().flatten().map(|device| device.name));
    }
    used
}

fn as_container(c: &EphemeralContainer) -> Container {
    let c = c.clone();
    Container {
        args: c.args,
        command: c.command,
        env: c.env,
        env_from: c.env_from,
        image: c.image,
        image_pull_policy: c.image_pull_policy,
        lifecycle: c.lifecycle,
        liveness_probe: c.liveness_probe,
        name: c.name,
        ports: c.ports,
        readiness_probe: c.readiness_probe,
        resize_policy: c.resize_policy,
        resources: c.resources,
        restart_policy: c.restart_policy,
        restart_policy_rules: c.restart_policy_rules,
        security_context: c.security_context,
        startup_probe: c.startup_probe,
        stdin: c.stdin,
        stdin_once: c.stdin_once,
        termination_message_path: c.termination_message_path,
        termination_message_policy: c.termination_message_policy,
        tty: c.tty,
        volume_devices: c.volume_devices,
        volume_mounts: c.volume_mounts,
        working_dir: c.working_dir,
    }
}
