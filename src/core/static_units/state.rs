//! The state of a pod, as its unit shows it.

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use serde::{Deserialize, Serialize};

/// Longest text: systemd shows it in one line.
const MAX_TEXT: usize = 400;

/// The state of a static pod for its unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "detail", rename_all = "kebab-case")]
pub enum PodState {
    /// Not Ready; the reason.
    Waiting(String),
    /// Ready; the numbers of containers and restarts.
    Ready(String),
    /// It is being terminated.
    Stopping {
        /// What is still running.
        text: String,
        /// Grace period of its containers in seconds.
        grace_seconds: i64,
    },
    /// It was stopped by its unit, and nothing of it runs.
    Stopped,
    /// No manifest defines a pod of this name.
    Unknown,
}

/// Derives the state of a wanted pod from its status, as the kubelet derived it, and the last error of the pod's
/// worker.
pub fn derive_state(status: &PodStatus, last_error: Option<&str>) -> PodState {
    let containers: Vec<&ContainerStatus> = status.container_statuses.iter().flatten().collect();
    let ready = containers.iter().filter(|container| container.ready).count();
    let is_ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    let restarts = containers.iter().fold(0, |sum: i32, container| sum.saturating_add(container.restart_count));
    let count = format!("{ready} of {} containers ready, {restarts} restarts", containers.len());
    if is_ready {
        return PodState::Ready(format!("Ready: {count}"));
    }
    let all = status.init_container_statuses.iter().flatten().chain(containers.iter().copied());
    let mut causes: Vec<String> = all.filter_map(cause).collect();
    if causes.is_empty() {
        let unmet = status.conditions.iter().flatten().filter(|c| c.type_ != "PodReadyToStartContainers");
        causes.extend(unmet.filter(|c| c.status == "False").take(1).map(|c| {
            let reason = c.reason.as_deref().unwrap_or("False");
            c.message.as_ref().map_or_else(|| format!("{} {reason}", c.type_), |m| format!("{} {reason}: {m}", c.type_))
        }));
    }
    if let (Some(reason), message) = (&status.reason, status.message.as_deref().unwrap_or_default()) {
        causes.insert(0, format!("{reason}: {message}"));
    }
    causes.extend(last_error.map(|error| format!("last error: {error}")));
    let text = format!("Not ready, {count}; {}", causes.join("; "));
    PodState::Waiting(one_line(text.trim_end_matches("; ")))
}

/// Why a container is not ready; `None` if it is, or if it is an init container that has completed.
fn cause(status: &ContainerStatus) -> Option<String> {
    if status.ready {
        return None;
    }
    let name = &status.name;
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("waits");
        return Some(match &waiting.message {
            Some(message) => format!("{name}: {reason}: {message}"),
            None => format!("{name}: {reason}"),
        });
    }
    if let Some(ended) = &state.terminated {
        let reason = ended.reason.as_deref().unwrap_or("ended");
        return Some(format!("{name}: {reason} with exit code {}", ended.exit_code));
    }
    Some(format!("{name}: running, not ready"))
}

fn one_line(text: &str) -> String {
    let mut rest = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = rest.by_ref().take(MAX_TEXT).collect();
    if rest.next().is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: serde_json::Value) -> PodStatus {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_ready_pod_tells_its_containers() {
        let ready = status(serde_json::json!({
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "a", "ready": true, "restartCount": 2, "image": "", "imageID": "",
                "state": {"running": {}}}],
        }));
        assert_eq!(
            derive_state(&ready, Some("old")),
            PodState::Ready("Ready: 1 of 1 containers ready, 2 restarts".into())
        );
    }

    #[test]
    fn a_pod_that_is_not_ready_tells_why() {
        let container = |state: serde_json::Value| {
            serde_json::json!({"conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
                "containerStatuses": [{"name": "a", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": state}]})
        };
        let cases = [
            (
                serde_json::json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off\n10s"}}),
                "a: CrashLoopBackOff: back-off 10s",
            ),
            (serde_json::json!({"terminated": {"exitCode": 3, "reason": "Error"}}), "a: Error with exit code 3"),
            (serde_json::json!({"running": {}}), "a: running, not ready"),
        ];
        for (state, text) in cases {
            let expected = format!("Not ready, 0 of 1 containers ready, 0 restarts; {text}; last error: disk");
            assert_eq!(derive_state(&status(container(state)), Some("disk")), PodState::Waiting(expected));
        }
        let nothing = derive_state(&PodStatus::default(), None);
        assert_eq!(nothing, PodState::Waiting("Not ready, 0 of 0 containers ready, 0 restarts".into()));
        let rejected = status(serde_json::json!({"reason": "OutOfcpu", "message": "no room"}));
        let PodState::Waiting(text) = derive_state(&rejected, None) else { panic!("ready") };
        assert!(text.ends_with("; OutOfcpu: no room"), "{text}");
    }

    #[test]
    fn a_text_is_one_line_of_bounded_length() {
        let PodState::Waiting(text) = derive_state(&PodStatus::default(), Some(&"ä\n".repeat(1000))) else {
            panic!("ready")
        };
        assert_eq!(text.chars().count(), MAX_TEXT + 1);
        assert!(!text.contains('\n'));
    }
}
