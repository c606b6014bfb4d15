//! Conditions that become true by themselves: checked once, or waited for.

use std::time::Duration;

use super::objects::{is_ready, node};
use crate::bootstrap::error::{StepError, TimedOut};
use crate::bootstrap::pods;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::kubelet_requests::{CLIENT_SIGNER, denials};
use crate::core::bootstrap::step::Condition;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::ObjectRef;

/// Interval between two checks; short, since a whole start takes seconds.
const PAUSE: Duration = Duration::from_millis(75);
/// Number of checks after which [`is_hopeless`] is called: about every second.
const LOOKS_BETWEEN: u32 = 16;

/// True if the condition holds now; false if that cannot be determined.
pub async fn is_met(ports: &Ports, spec: &Spec, condition: &Condition) -> Result<bool, StepError> {
    Ok(match condition {
        Condition::Answers { url, ca } => {
            let ca = match ca {
                Some(path) => match ports.files.read(path)? {
                    Some(ca) => Some(ca),
                    None => return Ok(false),
                },
                None => None,
            };
            ports.net.answers(url, ca.as_deref()).await
        }
        Condition::UnitActive { unit } => ports.units.state(unit).await?.is_active(),
        Condition::NodeRegistered { name } => node(ports, spec, name).await.is_some(),
        Condition::NodeReady { name } => node(ports, spec, name).await.is_some_and(|node| is_ready(&node)),
        Condition::FileExists { path } | Condition::KubeletCredentials { path, .. } => {
            ports.files.info(path)?.is_some()
        }
        Condition::PodGone { component } => pods::sandbox_of(ports, *component).await?.is_none(),
        Condition::PodRuns { component } => pods::runs(ports, *component).await?,
    })
}

/// Waits until the condition holds; fails after `within`, or when it can no longer become true.
pub async fn apply(ports: &Ports, spec: &Spec, condition: &Condition, within: Duration) -> Result<(), StepError> {
    let ask = async {
        for looks in 1_u32.. {
            if is_met(ports, spec, condition).await? {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            if looks % LOOKS_BETWEEN == 0 {
                is_hopeless(ports, condition).await?;
            }
        }
        Ok(())
    };
    match tokio::time::timeout(within, ask).await {
        Ok(outcome) => outcome,
        Err(_) => Err(StepError::TimedOut(TimedOut {
            condition: condition.to_string(),
            seconds: within.as_secs(),
            hint: hint(condition),
        })),
    }
}

/// Fails if the condition can no longer become true. What cannot be checked may still become true.
async fn is_hopeless(ports: &Ports, condition: &Condition) -> Result<(), StepError> {
    let Condition::KubeletCredentials { bootstrap, node, denied, .. } = condition else { return Ok(()) };
    let Ok(objects) = ports.net.connect(bootstrap).await else { return Ok(()) };
    let requests = ObjectRef::new("certificates.k8s.io/v1", "CertificateSigningRequest", None, "");
    let requests = objects.list(&requests, &format!("spec.signerName={CLIENT_SIGNER}")).await.unwrap_or_default();
    match denials(node, &requests).into_iter().find(|(uid, _)| !denied.contains(uid)) {
        Some((_, message)) => Err(StepError::NotLetIn { node: node.clone(), message }),
        None => Ok(()),
    }
}

fn hint(condition: &Condition) -> String {
    match condition {
        Condition::Answers { .. } => {
            "see `bootstrap status`, journalctl -u kubelet -u 'roost-*', and /var/log/pods/kube-system_*".to_owned()
        }
        Condition::UnitActive { unit } => format!("see journalctl -u {unit}"),
        Condition::NodeRegistered { .. } | Condition::NodeReady { .. } => {
            "see journalctl -u kubelet -u roost-agent".to_owned()
        }
        Condition::KubeletCredentials { .. } => {
            "see journalctl -u kubelet here, and on a control plane journalctl -u roost-agent and kubectl get csr"
                .to_owned()
        }
        Condition::FileExists { .. } => "see journalctl -u containerd".to_owned(),
        Condition::PodGone { component } | Condition::PodRuns { component } => {
            format!("see journalctl -u kubelet, and the container's log in /var/log/pods/kube-system_{component}-*")
        }
    }
}
