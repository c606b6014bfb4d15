//! The conditions of the node, Ready last.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NodeCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::core::admission::Pressure;

/// Input of the node's conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Node-pressure conditions, from the eviction manager.
    pub pressure: Pressure,
    /// Reasons why the node is not ready; empty if it is.
    pub faults: Vec<String>,
}

/// Derives the conditions; one whose status did not change keeps its transition time.
pub fn derive_conditions(health: &Health, old: &[NodeCondition], now: Timestamp) -> Vec<NodeCondition> {
    let pressure = |type_: &str, holds: bool, bad: &str, good: &str, bad_text: &str, good_text: &str| {
        let (status, reason, message) = if holds { ("True", bad, bad_text) } else { ("False", good, good_text) };
        (type_.to_string(), status, reason.to_string(), message.to_string())
    };
    let p = health.pressure;
    let ready = if health.faults.is_empty() {
        ("Ready".to_string(), "True", "KubeletReady".to_string(), "kubelet is posting ready status".to_string())
    } else {
        ("Ready".to_string(), "False", "KubeletNotReady".to_string(), health.faults.join(", "))
    };
    let drafts = [
        pressure(
            "MemoryPressure",
            p.memory,
            "KubeletHasInsufficientMemory",
            "KubeletHasSufficientMemory",
            "kubelet has insufficient memory available",
            "kubelet has sufficient memory available",
        ),
        pressure(
            "DiskPressure",
            p.disk,
            "KubeletHasDiskPressure",
            "KubeletHasNoDiskPressure",
            "kubelet has disk pressure",
            "kubelet has no disk pressure",
        ),
        pressure(
            "PIDPressure",
            p.pid,
            "KubeletHasInsufficientPID",
            "KubeletHasSufficientPID",
            "kubelet has insufficient PID available",
            "kubelet has sufficient PID available",
        ),
        ready,
    ];
    drafts
        .into_iter()
        .map(|(type_, status, reason, message)| {
            let before = old.iter().find(|c| c.type_ == type_ && c.status == status);
            let since = before.and_then(|c| c.last_transition_time.clone()).unwrap_or(Time(now));
            NodeCondition {
                type_,
                status: status.into(),
                reason: Some(reason),
                message: Some(message),
                last_heartbeat_time: Some(Time(now)),
                last_transition_time: Some(since),
            }
        })
        .collect()
}
