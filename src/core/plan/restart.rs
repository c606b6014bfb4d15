//! Restart policy of containers, including the rules of KEP-5307 and KEP-5532.

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, Pod, PodSpec};

use crate::core::model::{Observed, ObservedContainer, RunState};
use crate::core::render::container_hash;

/// Action of a rule that restarts every container of the pod in its sandbox.
pub const RESTART_ALL: &str = "RestartAllContainers";

/// True if a container that exited with `exit_code` has to be restarted (upstream `ContainerShouldRestart`).
pub fn exited_should_restart(container: &Container, spec: &PodSpec, exit_code: i32) -> bool {
    if let Some(policy) = container.restart_policy.as_deref() {
        if matching_rule(container, exit_code).is_some_and(|r| matches!(r.action.as_str(), "Restart" | RESTART_ALL)) {
            return true;
        }
        if let Some(decision) = by_policy(policy, exit_code) {
            return decision;
        }
    }
    by_policy(spec.restart_policy.as_deref().unwrap_or("Always"), exit_code).unwrap_or(true)
}

/// True if a container that is killed for a failed probe (no exit code yet) has to be restarted.
pub fn killed_should_restart(container: &Container, spec: &PodSpec) -> bool {
    let policy = container.restart_policy.as_deref().or(spec.restart_policy.as_deref());
    policy != Some("Never")
}

fn by_policy(policy: &str, exit_code: i32) -> Option<bool> {
    match policy {
        "Always" => Some(true),
        "OnFailure" => Some(exit_code != 0),
        "Never" => Some(false),
        _ => None,
    }
}

/// The first rule that matches the exit code.
pub fn matching_rule(container: &Container, exit_code: i32) -> Option<&ContainerRestartRule> {
    container.restart_policy_rules.iter().flatten().find(|rule| {
        rule.exit_codes.as_ref().is_some_and(|codes| {
            let listed = codes.values.iter().flatten().any(|value| *value == exit_code);
            match codes.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                _ => false,
            }
        })
    })
}

/// True if any container of the pod has a rule that restarts all of them.
pub fn may_restart_all(spec: &PodSpec) -> bool {
    let all = spec.init_containers.iter().flatten().chain(&spec.containers);
    all.flat_map(|c| c.restart_policy_rules.iter().flatten()).any(|rule| rule.action == RESTART_ALL)
}

/// True if this container's exit matches a rule that restarts all containers.
pub fn asks_restart_all(container: &Container, record: &ObservedContainer) -> bool {
    record.state == RunState::Exited
        && matching_rule(container, record.exit_code).is_some_and(|rule| rule.action == RESTART_ALL)
}

/// True if the container has to be (re)started in the observed state (upstream `ShouldContainerBeRestarted`).
pub fn should_start(container: &Container, pod: &Pod, observed: &Observed) -> bool {
    if pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let Some(record) = observed.container(&container.name) else { return true };
    match record.state {
        RunState::Running => false,
        RunState::Created | RunState::Unknown => true,
        RunState::Exited => {
            pod.spec.as_ref().is_none_or(|spec| exited_should_restart(container, spec, record.exit_code))
        }
    }
}

/// True if the record was created from another definition (image or name) than the pod has now.
pub(super) fn changed(container: &Container, record: &ObservedContainer) -> bool {
    !record.hash.is_empty()
        && record.hash != container_hash(&container.name, container.image.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(policy: &str) -> PodSpec {
        PodSpec { restart_policy: Some(policy.into()), ..PodSpec::default() }
    }

    #[test]
    fn the_pod_policy_decides_when_the_container_has_none() {
        let c = Container::default();
        let table = [("Always", 0, true), ("OnFailure", 0, false), ("OnFailure", 1, true), ("Never", 1, false)];
        for (policy, code, expected) in table {
            assert_eq!(exited_should_restart(&c, &spec(policy), code), expected, "{policy} {code}");
        }
    }

    #[test]
    fn a_matching_rule_goes_before_the_container_policy() {
        let c: Container = serde_json::from_value(serde_json::json!({
            "name": "c", "restartPolicy": "Never",
            "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
        }))
        .unwrap();
        assert!(exited_should_restart(&c, &spec("Never"), 42));
        assert!(!exited_should_restart(&c, &spec("Always"), 1));
    }
}
