//! The Linux namespaces of a pod.

use k8s_openapi::api::core::v1::Pod;

use super::PodContext;
use crate::cri;

/// The network namespace mode of the pod's sandbox; a change requires a new sandbox.
pub fn network_mode(pod: &Pod) -> cri::NamespaceMode {
    let host = pod.spec.as_ref().and_then(|s| s.host_network).unwrap_or_default();
    if host { cri::NamespaceMode::Node } else { cri::NamespaceMode::Pod }
}

/// Namespaces of a pod's sandbox and containers.
pub fn namespaces(ctx: &PodContext<'_>) -> cri::NamespaceOption {
    use cri::NamespaceMode::{Container, Node, Pod};
    let spec = ctx.pod.spec.as_ref();
    let is = |field: Option<bool>| field.unwrap_or_default();
    let pid = if is(spec.and_then(|s| s.host_pid)) {
        Node
    } else if is(spec.and_then(|s| s.share_process_namespace)) {
        Pod
    } else {
        Container
    };
    cri::NamespaceOption {
        network: network_mode(ctx.pod) as i32,
        pid: pid as i32,
        ipc: if is(spec.and_then(|s| s.host_ipc)) { Node } else { Pod } as i32,
        target_id: String::new(),
        userns_options: ctx.user_namespace.cloned(),
    }
}
