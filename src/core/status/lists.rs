//! The lists of container statuses in a pod's status.

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

use crate::core::model::ContainerKind;

pub(super) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// A container's status by name.
pub(super) fn by_name<'a>(statuses: Option<&'a [ContainerStatus]>, name: &str) -> Option<&'a ContainerStatus> {
    statuses?.iter().find(|s| s.name == name)
}

/// Status of a container in the list of its kind.
pub(super) fn status_of<'a>(status: &'a PodStatus, kind: ContainerKind, name: &str) -> Option<&'a ContainerStatus> {
    let list = match kind {
        ContainerKind::Init | ContainerKind::Sidecar => &status.init_container_statuses,
        ContainerKind::Regular => &status.container_statuses,
        ContainerKind::Ephemeral => &status.ephemeral_container_statuses,
    };
    by_name(list.as_deref(), name)
}
