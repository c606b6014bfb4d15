//! Restart of all containers in their sandbox (KEP-5532): all are killed and their records removed, then the pod starts
//! over.

use k8s_openapi::api::core::v1::Pod;

use super::action::Action;
use super::init::is_sidecar;
use super::kill::kill;
use super::restart::{asks_restart_all, may_restart_all};
use crate::core::model::{ContainerId, ContainerKind, Observed, RunState};

/// True if a record requests that all containers are restarted. That record is removed last, so that a kubelet restart
/// in between loses nothing.
pub fn restart_all_asked(pod: &Pod, observed: &Observed) -> bool {
    let Some(spec) = pod.spec.as_ref().filter(|spec| may_restart_all(spec)) else { return false };
    let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
    all.any(|c| observed.container(&c.name).is_some_and(|record| asks_restart_all(c, record)))
}

/// Kills and removes every container except ephemeral ones; those that requested it last. Logs stay, and so do restart
/// counts.
pub(super) fn plan_reset(pod: &Pod, observed: &Observed) -> Vec<Action> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let mut kills = Vec::new();
    let (mut others, mut sources): (Vec<ContainerId>, Vec<ContainerId>) = (Vec::new(), Vec::new());
    let regular = spec.containers.iter().map(|c| (ContainerKind::Regular, c));
    let inits = spec.init_containers.iter().flatten();
    let inits = inits.map(|c| (if is_sidecar(c) { ContainerKind::Sidecar } else { ContainerKind::Init }, c));
    for (kind, container) in regular.chain(inits) {
        for record in observed.containers.iter().filter(|r| r.name == container.name) {
            if asks_restart_all(container, record) {
                sources.push(record.id.clone());
                continue;
            }
            if matches!(record.state, RunState::Running | RunState::Unknown) {
                let message = "RestartAllContainers".to_owned();
                kills.push(kill(Some(container), kind, record, 0, message));
            }
            others.push(record.id.clone());
        }
    }
    let mut actions = Vec::new();
    if !kills.is_empty() {
        actions.push(Action::Kill(kills));
    }
    if !others.is_empty() {
        actions.push(Action::Remove(others));
    }
    actions.push(Action::Remove(sources));
    actions
}
