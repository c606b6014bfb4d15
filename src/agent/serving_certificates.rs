//! Approves the serving certificates of kubelets, on control-plane nodes. Every control plane may run it at once: to
//! approve what is approved is no change.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::bootstrap::serving_certificate::{self, ServingRequest};
use crate::ports::{ApprovalError, ServingApprovals};

/// A kubelet asks before its Node object exists or holds its addresses: undecided requests are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How often one request is looked at before it is left to a person.
const LOOKS: u32 = 150;

/// Runs for ever.
pub async fn run_serving_approver(mut approvals: Box<dyn ServingApprovals>) {
    let mut waiting: BTreeMap<String, (ServingRequest, u32)> = BTreeMap::new();
    loop {
        let due: Vec<String> = tokio::select! {
            pending = approvals.next() => {
                waiting.insert(pending.name.clone(), (pending.request, 0));
                vec![pending.name]
            }
            () = tokio::time::sleep(LOOK_AGAIN), if !waiting.is_empty() => waiting.keys().cloned().collect(),
        };
        for name in due {
            let Some((request, looks)) = waiting.get_mut(&name) else { continue };
            *looks = looks.saturating_add(1);
            let last = *looks >= LOOKS;
            match decide(approvals.as_mut(), &name, request).await {
                Ok(Outcome::Approved) => {
                    tracing::info!(request = name, user = request.username, "approved a kubelet's serving certificate");
                    waiting.remove(&name);
                }
                Ok(Outcome::Left(reason)) if last => {
                    tracing::warn!(
                        request = name,
                        user = request.username,
                        reason,
                        "left a serving certificate to be decided by hand"
                    );
                    waiting.remove(&name);
                }
                Ok(Outcome::Left(reason)) => tracing::debug!(request = name, reason, "a serving certificate waits"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the serving approver cannot work")
                }
            }
        }
    }
}

enum Outcome {
    Approved,
    Left(String),
}

async fn decide(
    approvals: &mut dyn ServingApprovals,
    name: &str,
    request: &ServingRequest,
) -> Result<Outcome, ApprovalError> {
    let node = match serving_certificate::node_of(request) {
        Ok(node) => node,
        Err(refusal) => return Ok(Outcome::Left(refusal.to_string())),
    };
    let Some(names) = approvals.node_names(node).await? else {
        return Ok(Outcome::Left(format!("node {node} is not registered")));
    };
    match serving_certificate::judge(request, &names) {
        Ok(()) => approvals.approve(name).await.map(|()| Outcome::Approved),
        Err(refusal) => Ok(Outcome::Left(refusal.to_string())),
    }
}
