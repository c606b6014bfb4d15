//! The planner: pod × observation × ledger × time → actions. It makes all decisions and has no side effects.
//!
//! Behavior follows upstream's `pkg/kubelet/kuberuntime` and `pkg/kubelet/pod_workers.go` (docs/contract.md, kubelet
//! 2).

mod action;
mod containers;
mod init;
mod inputs;
mod kill;
mod ledger;
#[cfg(test)]
mod properties;
mod prune;
mod removal_backoff;
mod replacement;
mod reset;
pub mod resize;
pub mod restart;
mod retry;
mod sandbox;
mod stage;
mod terminate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use crate::core::model::{ContainerKind, Observed, RunState, containers_of};

pub use action::{Action, KillContainer, StartContainer};
pub use init::{init_failed, is_sidecar};
pub use inputs::Inputs;
pub use kill::{KillReason, container_grace, kill_all, pod_grace};
pub use ledger::{Backoff, End, EndCause, Ledger, Waiting, backoff_key};
pub use prune::surplus;
pub use removal_backoff::RemovalBackoff;
pub use replacement::Replacement;
pub use reset::restart_all_asked;
pub use retry::pause;
pub use sandbox::{is_host_network, sandbox_needed};
pub use stage::{Facts, Stage};
use terminate::kill_everything;
pub use terminate::{EndInputs, EndReasons, decide_end, end_pod, plan_end, plan_removal};

/// What to do next, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Actions in order; empty if everything is as it should be.
    pub actions: Vec<Action>,
    /// Containers that should start but have to wait for their back-off.
    pub waiting: BTreeMap<String, Waiting>,
    /// When to plan again even if nothing changes; `None` if not needed.
    pub wake_at: Option<Timestamp>,
}

/// Plans for a pod that should run. Terminating pods are planned by [`plan_end`].
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let Inputs { pod, observed, .. } = *inputs;
    let Some(spec) = &pod.spec else { return Plan::default() };
    if restart_all_asked(pod, observed) {
        return Plan { actions: reset::plan_reset(pod, observed), ..Plan::default() };
    }
    if let Some(attempt) = sandbox_needed(pod, observed) {
        return plan_new_sandbox(inputs, attempt);
    }
    if !spec.containers.is_empty() && spec.containers.iter().all(|c| done_for_good(c, pod, observed)) {
        // Sidecars do not keep a pod alive, and are not restarted for one that has finished.
        return Plan { actions: kill_everything(pod, observed, pod_grace(pod)), ..Plan::default() };
    }
    let mut plan = Plan::default();
    let mut kills = Vec::new();
    let mut starts = Vec::new();
    for container in spec.ephemeral_containers.iter().flatten() {
        if observed.container(&container.name).is_none() {
            starts.push((ContainerKind::Ephemeral, container.name.clone()));
        }
    }
    let inits = spec.init_containers.as_deref().unwrap_or_default();
    let mut init = init::plan_init(inputs);
    if init.failed {
        return Plan { actions: kill_everything(pod, observed, pod_grace(pod)), ..Plan::default() };
    }
    let mut regular = containers::RegularPlan::default();
    if init.initialized {
        regular = containers::plan_regular(inputs);
        if regular.keep == 0 && regular.start.is_empty() {
            return Plan { actions: kill_everything(pod, observed, pod_grace(pod)), ..Plan::default() };
        }
    }
    kills.append(&mut init.kill);
    kills.append(&mut regular.kill);
    for container in init.start.into_iter().filter_map(|index| inits.get(index)) {
        let kind = if is_sidecar(container) { ContainerKind::Sidecar } else { ContainerKind::Init };
        starts.push((kind, container.name.clone()));
    }
    let regular = regular.start.into_iter().filter_map(|index| spec.containers.get(index));
    starts.extend(regular.map(|container| (ContainerKind::Regular, container.name.clone())));
    if !kills.is_empty() {
        plan.actions.push(Action::Kill(kills));
    }
    add_starts(&mut plan, inputs, starts);
    plan
}

/// A new sandbox is needed: everything in the old one is killed, and init containers start over.
fn plan_new_sandbox(inputs: &Inputs<'_>, attempt: u32) -> Plan {
    let Inputs { pod, observed, .. } = *inputs;
    let Some(spec) = &pod.spec else { return Plan::default() };
    let mut plan = Plan { actions: kill_everything(pod, observed, pod_grace(pod)), ..Plan::default() };
    if pod.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let never = spec.restart_policy.as_deref() == Some("Never");
    if never && attempt != 0 && !observed.containers.is_empty() {
        return plan;
    }
    let start: Vec<&Container> = spec.containers.iter().filter(|c| !done_for_good(c, pod, observed)).collect();
    let any_regular = spec.containers.iter().any(|c| observed.container(&c.name).is_some());
    if start.is_empty() && any_regular {
        return plan;
    }
    let inits = spec.init_containers.as_deref().unwrap_or_default();
    let old_inits: Vec<_> = observed
        .containers
        .iter()
        .filter(|r| inits.iter().any(|c| c.name == r.name))
        .filter(|r| observed.container(&r.name).is_some_and(|newest| newest.id != r.id))
        .map(|r| r.id.clone())
        .collect();
    if !old_inits.is_empty() {
        plan.actions.push(Action::Remove(old_inits));
    }
    plan.actions.push(Action::CreateSandbox { attempt });
    let starts = match inits.first() {
        Some(first) => {
            let kind = if is_sidecar(first) { ContainerKind::Sidecar } else { ContainerKind::Init };
            vec![(kind, first.name.clone())]
        }
        None => start.iter().map(|c| (ContainerKind::Regular, c.name.clone())).collect(),
    };
    add_starts(&mut plan, inputs, starts);
    plan
}

/// A container that exited and is not restarted by its own policy is not started in a new sandbox either.
fn done_for_good(container: &Container, pod: &Pod, observed: &Observed) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let ended = observed.container(&container.name).filter(|r| r.state == RunState::Exited);
    ended.is_some_and(|r| !restart::exited_should_restart(container, spec, r.exit_code))
}

/// Adds the starts, except for containers that have to wait for their back-off.
fn add_starts(plan: &mut Plan, inputs: &Inputs<'_>, starts: Vec<(ContainerKind, String)>) {
    let Inputs { pod, observed, ledger, now, .. } = *inputs;
    let specs = containers_of(pod);
    let mut made = Vec::new();
    let mut begin = Vec::new();
    for (kind, name) in starts {
        let Some((_, container)) = specs.iter().find(|(_, c)| c.name == name) else { continue };
        let record = observed.container(&name);
        let key = backoff_key(container);
        // For a container that is killed first, its previous exit counts (as upstream).
        let ended = observed.containers.iter().find(|r| r.name == name && r.state == RunState::Exited);
        let finished = ended.map(|r| r.finished_at.unwrap_or(r.created_at));
        if let Some((until, delay)) = finished.and_then(|at| ledger.blocked_until(&key, at, now)) {
            plan.waiting.insert(name.clone(), crash_loop(pod, &name, until, delay.as_secs()));
            plan.wake_at = Some(plan.wake_at.map_or(until, |at| at.min(until)));
            continue;
        }
        // A start that failed for another reason is not retried on every event.
        if let Some(at) = ledger.waiting.get(&name).and_then(|w| w.retry_at).filter(|at| now < *at) {
            plan.wake_at = Some(plan.wake_at.map_or(at, |earlier| earlier.min(at)));
            // Everything after an init container waits with it.
            if kind == ContainerKind::Init {
                break;
            }
            continue;
        }
        // A record that was created but never started is removed, and its number is reused.
        let unused = record.filter(|r| r.state == RunState::Created);
        made.extend(unused.map(|r| r.id.clone()));
        let attempt = record.map(|r| if unused.is_some() { r.attempt } else { r.attempt.saturating_add(1) });
        begin.push(Action::Start(StartContainer { name, kind, attempt, raise: finished.map(|at| (key, at)) }));
    }
    if !made.is_empty() {
        plan.actions.push(Action::Remove(made));
    }
    plan.actions.append(&mut begin);
}

fn crash_loop(pod: &Pod, container: &str, until: Timestamp, delay: i64) -> Waiting {
    let meta = &pod.metadata;
    let (minutes, seconds) = (delay / 60, delay % 60);
    let delay = if minutes > 0 { format!("{minutes}m{seconds}s") } else { format!("{seconds}s") };
    let message = format!(
        "back-off {delay} restarting failed container={container} pod={}_{}({})",
        meta.name.as_deref().unwrap_or_default(),
        meta.namespace.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
    );
    Waiting { reason: "CrashLoopBackOff".into(), message, retry_at: Some(until) }
}
