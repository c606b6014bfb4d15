//! What a kept status says no more after a restart of the kubelet.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting, Pod, PodStatus};

use crate::core::plan::is_sidecar;

/// The kept status of a static pod, without the ends of init containers that have done their work: only the runtime can
/// tell of those after a restart, as with upstream, which keeps no status of a static pod. Where it has lost one, the
/// status says that instead of repeating what nobody can look up any more.
pub fn without_ended_init(pod: &Pod, kept: &PodStatus) -> PodStatus {
    let mut status = kept.clone();
    let init: Vec<_> = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten()).collect();
    for container in status.init_container_statuses.iter_mut().flatten() {
        let done = container.state.as_ref().and_then(|s| s.terminated.as_ref()).is_some_and(|end| end.exit_code == 0);
        if done && init.iter().any(|c| c.name == container.name && !is_sidecar(c)) {
            let waiting = ContainerStateWaiting { reason: Some("PodInitializing".into()), message: None };
            container.state = Some(ContainerState { waiting: Some(waiting), ..ContainerState::default() });
        }
    }
    status
}
