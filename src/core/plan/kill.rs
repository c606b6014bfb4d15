//! Grace periods of containers, and which container is killed after which.

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod};

use super::action::KillContainer;
use crate::core::model::{ContainerId, ContainerKind, Observed, ObservedContainer, containers_of, labels};

/// `terminationGracePeriodSeconds` if the spec does not set it.
const DEFAULT_GRACE: i64 = 30;

/// Why a single container is killed, if that affects the grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillReason {
    /// A failed liveness probe, which may set its own grace period.
    Liveness,
    /// A failed startup probe, which may set its own grace period.
    Startup,
    /// Any other reason: the pod's grace period applies.
    Other,
}

/// Grace period of the pod in seconds: that of its deletion, else the spec's.
pub fn pod_grace(pod: &Pod) -> i64 {
    pod.metadata.deletion_grace_period_seconds.unwrap_or_else(|| {
        pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(DEFAULT_GRACE)
    })
}

/// Grace period in seconds of one container that is killed while its pod continues (upstream
/// `setTerminationGracePeriod`).
pub fn container_grace(pod: &Pod, container: &Container, reason: KillReason) -> i64 {
    if let Some(grace) = pod.metadata.deletion_grace_period_seconds {
        return grace;
    }
    let probe = match reason {
        KillReason::Liveness => container.liveness_probe.as_ref(),
        KillReason::Startup => container.startup_probe.as_ref(),
        KillReason::Other => None,
    };
    probe.and_then(|probe| probe.termination_grace_period_seconds).unwrap_or_else(|| pod_grace(pod))
}

/// The action that kills one container; its hook comes from the spec, or from the record if the spec is unknown.
pub fn kill(
    container: Option<&Container>,
    kind: ContainerKind,
    record: &ObservedContainer,
    grace_seconds: i64,
    message: String,
) -> KillContainer {
    KillContainer {
        id: record.id.clone(),
        name: record.name.clone(),
        kind,
        grace_seconds,
        pre_stop: if grace_seconds > 0 { pre_stop(container, record) } else { None },
        after: Vec::new(),
        message,
    }
}

fn pre_stop(container: Option<&Container>, record: &ObservedContainer) -> Option<LifecycleHandler> {
    match container {
        Some(container) => container.lifecycle.as_ref()?.pre_stop.clone(),
        None => serde_json::from_str(record.annotations.get(labels::PRE_STOP_HANDLER)?).ok(),
    }
}

/// The actions that kill all running containers of a pod: regular ones in parallel, then sidecars from the last to the
/// first.
pub fn kill_all(pod: &Pod, observed: &Observed, grace_seconds: i64) -> Vec<KillContainer> {
    let specs = containers_of(pod);
    let mut kills = Vec::new();
    let mut sidecars: Vec<(usize, KillContainer)> = Vec::new();
    for record in observed.alive() {
        let found = specs.iter().enumerate().find(|(_, (_, c))| c.name == record.name);
        let (kind, spec) = found.map_or((ContainerKind::Regular, None), |(_, (kind, c))| (*kind, Some(c)));
        let order = kill(spec, kind, record, grace_seconds, format!("Stopping container {}", record.name));
        match found {
            Some((index, (ContainerKind::Sidecar, _))) => sidecars.push((index, order)),
            _ => kills.push(order),
        }
    }
    // Init containers that run to completion do not delay others: they never run at the same time as regular ones.
    let mut before: Vec<ContainerId> =
        kills.iter().filter(|k| k.kind != ContainerKind::Ephemeral).map(|k| k.id.clone()).collect();
    sidecars.sort_by_key(|(index, _)| std::cmp::Reverse(*index));
    for (_, mut order) in sidecars {
        order.after.clone_from(&before);
        before.push(order.id.clone());
        kills.push(order);
    }
    kills
}
