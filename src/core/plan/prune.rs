//! Records of exited containers that are no longer needed.

use super::action::Action;
use crate::core::model::{ContainerId, Observed, RunState, SandboxId};

/// Removes all records except those that the status shows: for each name the newest record and the newest exited one
/// besides it. Also removes old sandboxes without a kept record.
pub fn surplus(observed: &Observed) -> Vec<Action> {
    let names: Vec<&str> = {
        let mut names: Vec<&str> = observed.containers.iter().map(|c| c.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let mut remove: Vec<ContainerId> = Vec::new();
    let mut kept: Vec<&SandboxId> = Vec::new();
    for name in names {
        // Newest first: the current and the previous one are shown as state and lastState.
        for (index, record) in observed.containers.iter().filter(|c| c.name == name).enumerate() {
            if index >= 2 && matches!(record.state, RunState::Exited | RunState::Created) {
                remove.push(record.id.clone());
            } else {
                kept.push(&record.sandbox);
            }
        }
    }
    let mut actions = Vec::new();
    let old: Vec<SandboxId> = observed
        .sandboxes
        .iter()
        .skip(1)
        .filter(|s| !s.ready && !kept.contains(&&s.id))
        .map(|s| s.id.clone())
        .collect();
    if !remove.is_empty() {
        actions.push(Action::Remove(remove));
    }
    if !old.is_empty() {
        actions.push(Action::RemoveSandboxes(old));
    }
    actions
}
