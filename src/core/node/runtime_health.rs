//! Whether a runtime that does not respond makes the node unready (upstream `pkg/kubelet/runtime.go`).

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;

use crate::cri;

/// How long the runtime may be unresponsive before the node becomes unready: a restart of it is not a fault (upstream
/// `maxWaitForContainerRuntime`).
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The runtime's last status, and when it was received. Times count from the start of the kubelet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeHealth {
    answered: Option<Duration>,
    faults: Vec<String>,
}

impl RuntimeHealth {
    /// Records a status of the runtime.
    pub fn answer(&mut self, status: &cri::StatusResponse, now: Duration) {
        self.answered = Some(now);
        self.faults = faults_of(status);
    }

    /// True until the first status.
    pub fn is_unknown(&self) -> bool {
        self.answered.is_none()
    }

    /// Why the node is not ready. `silence` is the error of the last call, if it failed.
    pub fn faults(&self, silence: Option<&str>, now: Duration) -> Vec<String> {
        match (silence, self.answered) {
            (Some(error), None) => vec![format!("container runtime is down: {error}")],
            (Some(error), Some(at)) if now.saturating_sub(at) >= PATIENCE => {
                vec![format!("container runtime is down: {error}")]
            }
            _ => self.faults.clone(),
        }
    }
}

/// Conditions that the runtime reports as false. Other conditions are remarks: containerd warns about deprecations by
/// one.
fn faults_of(status: &cri::StatusResponse) -> Vec<String> {
    let conditions = status.status.iter().flat_map(|s| &s.conditions).filter(|c| !c.status);
    let fault = |c: &cri::RuntimeCondition| {
        let subject = match c.r#type.as_str() {
            "RuntimeReady" => "container runtime",
            "NetworkReady" => "container runtime network",
            _ => return None,
        };
        let (type_, reason, message) = (&c.r#type, &c.reason, &c.message);
        Some(format!("{subject} not ready: {type_}=false reason:{reason} message:{message}"))
    };
    conditions.filter_map(fault).collect()
}

/// True if the node was ready when its kubelet last reported, since the last boot. A kubelet that was restarted
/// together with its runtime then waits for it before it reports.
pub fn was_ready(node: &Node, boot_id: &str) -> bool {
    let Some(status) = &node.status else { return false };
    let same_boot = status.node_info.as_ref().is_some_and(|info| info.boot_id == boot_id);
    let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    same_boot && ready
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn status(ready: bool) -> cri::StatusResponse {
        let condition = |kind: &str, status: bool| cri::RuntimeCondition {
            r#type: kind.into(),
            status,
            reason: "R".into(),
            message: "m".into(),
        };
        let conditions =
            vec![condition("RuntimeReady", true), condition("NetworkReady", ready), condition("Remark", false)];
        cri::StatusResponse { status: Some(cri::RuntimeStatus { conditions }), ..cri::StatusResponse::default() }
    }

    #[test]
    fn a_short_silence_changes_nothing_and_a_long_one_is_a_fault() {
        let mut health = RuntimeHealth::default();
        let down = ["container runtime is down: gone".to_owned()];
        assert!(health.is_unknown());
        assert_eq!(health.faults(Some("gone"), SECOND), down);
        health.answer(&status(true), 10 * SECOND);
        assert!(health.faults(Some("gone"), 39 * SECOND).is_empty());
        assert_eq!(health.faults(Some("gone"), 40 * SECOND), down);
        health.answer(&status(true), 41 * SECOND);
        assert!(health.faults(None, 41 * SECOND).is_empty());
    }

    #[test]
    fn what_the_runtime_says_of_itself_counts_at_once_and_until_it_says_otherwise() {
        let mut health = RuntimeHealth::default();
        health.answer(&status(false), SECOND);
        let network = ["container runtime network not ready: NetworkReady=false reason:R message:m".to_owned()];
        assert_eq!(health.faults(None, SECOND), network);
        assert_eq!(health.faults(Some("gone"), 2 * SECOND), network);
    }

    #[test]
    fn only_a_node_that_was_ready_since_the_machine_booted_was_ready() {
        let node = |ready: &str| -> Node {
            serde_json::from_value(serde_json::json!({"status": {
                "nodeInfo": {"architecture": "", "bootID": "b1", "containerRuntimeVersion": "", "kernelVersion": "",
                    "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "",
                    "systemUUID": ""},
                "conditions": [{"type": "Ready", "status": ready}]}}))
            .expect("a node")
        };
        assert!(was_ready(&node("True"), "b1"));
        assert!(!was_ready(&node("True"), "b2"));
        assert!(!was_ready(&node("Unknown"), "b1") && !was_ready(&Node::default(), "b1"));
    }
}
