//! Containers that a new status shows as terminated and the old one did not (upstream `pkg/kubelet/status`,
//! `checkAndRecordTerminations`).

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

use crate::core::model::ContainerKind;

/// One container that terminated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// List of the pod's spec that it is in; a sidecar counts as an init container.
    pub kind: ContainerKind,
    /// Exit code of its process.
    pub exit_code: i32,
    /// Reason in the status: `Completed`, `Error`, `OOMKilled`, …
    pub reason: String,
}

/// The containers that terminated between two statuses of a pod. A container that was started again before anybody
/// looked is not among them, as with upstream: its last state is not compared.
pub fn terminations(old: &PodStatus, new: &PodStatus) -> Vec<Termination> {
    let lists = [
        (ContainerKind::Init, &old.init_container_statuses, &new.init_container_statuses),
        (ContainerKind::Regular, &old.container_statuses, &new.container_statuses),
        (ContainerKind::Ephemeral, &old.ephemeral_container_statuses, &new.ephemeral_container_statuses),
    ];
    let terminated = |status: &ContainerStatus| status.state.as_ref().and_then(|state| state.terminated.clone());
    let mut found = Vec::new();
    for (kind, old, new) in lists {
        for status in new.iter().flatten() {
            let before = old.iter().flatten().find(|before| before.name == status.name);
            if let (Some(end), None) = (terminated(status), before.and_then(terminated)) {
                let reason = end.reason.unwrap_or_default();
                found.push(Termination { kind, exit_code: end.exit_code, reason });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(init: Value, regular: Value) -> PodStatus {
        let list = |name: &str, state: Value| {
            json!([{"name": name, "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": state}])
        };
        let lists = json!({"initContainerStatuses": list("i", init), "containerStatuses": list("c", regular)});
        serde_json::from_value(lists).unwrap()
    }

    #[test]
    fn a_termination_counts_once() {
        let (runs, ended) = (json!({"running": {}}), json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
        let oom = |kind| Termination { kind, exit_code: 137, reason: "OOMKilled".into() };
        let before = status(ended.clone(), runs.clone());
        let after = status(ended.clone(), ended);
        assert_eq!(terminations(&before, &after), [oom(ContainerKind::Regular)]);
        assert_eq!(terminations(&after, &after), []);
        let first = terminations(&PodStatus::default(), &before);
        assert_eq!(first, [oom(ContainerKind::Init)], "one that nobody saw run");
        assert_eq!(terminations(&after, &status(runs.clone(), runs)), []);
    }
}
