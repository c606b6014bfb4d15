//! The API server's side: the statuses that kubelets publish, and invariants between them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

/// What was published about one pod.
#[derive(Clone, Default)]
pub struct Reported {
    /// All statuses, oldest first.
    pub statuses: Vec<PodStatus>,
    /// True if nothing of the pod is left, so that it may be deleted.
    pub finished: bool,
    /// Exits of containers: name, restart count, exit code.
    pub(super) ends: BTreeSet<(String, u32, i32)>,
    pub(super) sins: Vec<String>,
    counts: BTreeMap<String, i32>,
}

impl Reported {
    pub(super) fn newest(&self) -> Option<PodStatus> {
        self.statuses.last().cloned()
    }

    /// The successive values of the condition `Ready`.
    pub fn ready(&self) -> Vec<String> {
        let of = |status: &PodStatus| status.conditions.iter().flatten().find(|c| c.type_ == "Ready").cloned();
        let mut values: Vec<_> = self.statuses.iter().filter_map(of).map(|c| c.status).collect();
        values.dedup();
        values
    }

    pub(super) fn take(&mut self, status: &PodStatus) {
        let before = self.newest().and_then(|s| s.phase).unwrap_or_default();
        let now = status.phase.as_deref().unwrap_or_default();
        if matches!(&*before, "Failed" | "Succeeded") && before != now {
            self.sins.push(format!("the phase went from {before} to {now}"));
        }
        for container in status.init_container_statuses.iter().chain(&status.container_statuses).flatten() {
            self.take_container(container);
        }
        self.statuses.push(status.clone());
    }

    fn take_container(&mut self, container: &ContainerStatus) {
        let (name, count) = (&container.name, container.restart_count);
        let before = self.counts.insert(name.clone(), count).unwrap_or_default();
        if count < before {
            self.sins.push(format!("the restart count of {name} went from {before} to {count}"));
        }
        let code = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
            state.as_ref().and_then(|state| state.terminated.as_ref()).map(|ended| ended.exit_code)
        };
        let attempt = u32::try_from(count).unwrap_or_default();
        self.ends.extend(code(&container.state).map(|code| (name.clone(), attempt, code)));
        let Some(last) = code(&container.last_state) else { return };
        self.ends.insert((name.clone(), attempt.saturating_sub(1), last));
        // While it waits for a restart, the count is still that of the run that exited.
        if container.state.as_ref().is_some_and(|state| state.waiting.is_some()) {
            self.ends.insert((name.clone(), attempt, last));
        }
    }
}
