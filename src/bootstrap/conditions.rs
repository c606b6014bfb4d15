//! Conditions that come to hold by themselves: asked once, or waited for.

use std::time::Duration;

use super::error::StepError;
use super::objects;
use super::pods;
use super::ports::Ports;
use crate::core::bootstrap::step::Condition;
use crate::core::model::spec::Spec;

/// How often a condition is asked; short, since a whole start takes seconds.
const PAUSE: Duration = Duration::from_millis(75);

/// Does it hold now? What cannot be asked does not hold.
pub async fn holds(ports: &Ports, spec: &Spec, condition: &Condition) -> Result<bool, StepError> {
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
        Condition::NodeRegistered { name } => objects::node(ports, spec, name).await.is_some(),
        Condition::NodeReady { name } => {
            objects::node(ports, spec, name).await.is_some_and(|node| objects::is_ready(&node))
        }
        Condition::FileExists { path } => ports.files.info(path)?.is_some(),
        Condition::PodGone { component } => pods::sandbox_of(ports, component).await?.is_none(),
        Condition::PodRuns { component } => pods::runs(ports, component).await?,
    })
}

/// Waits for it.
pub async fn wait(ports: &Ports, spec: &Spec, condition: &Condition, within: Duration) -> Result<(), StepError> {
    let ask = async {
        while !holds(ports, spec, condition).await? {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    };
    match tokio::time::timeout(within, ask).await {
        Ok(outcome) => outcome,
        Err(_) => Err(StepError::TimedOut {
            condition: condition.to_string(),
            seconds: within.as_secs(),
            hint: hint(condition),
        }),
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
        Condition::FileExists { .. } => "see journalctl -u containerd".to_owned(),
        Condition::PodGone { component } | Condition::PodRuns { component } => {
            format!("see journalctl -u kubelet, and the container's log in /var/log/pods/kube-system_{component}-*")
        }
    }
}
