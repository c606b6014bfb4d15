//! Adjusts a kept status after a restart of the kubelet.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting, Pod, PodStatus};

use crate::core::plan::is_sidecar;

/// The kept status of a static pod, without the results of init containers that have completed: after a restart only
/// the runtime knows them, as with upstream, which keeps no status of static pods. If the runtime has lost such a
/// record, the status says so instead of repeating what can no longer be verified.
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
