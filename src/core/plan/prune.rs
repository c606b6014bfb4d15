//! Which records of ended containers are not needed any more.

use super::action::Action;
use crate::core::model::{ContainerId, Observed, RunState, SandboxId};

/// Ended records beyond those the status shows: per name the newest record and the newest ended one beside it, and old
/// sandboxes in which no kept record lies.
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
        // Newest first: the current one and the one before it are shown as state and lastState.
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
