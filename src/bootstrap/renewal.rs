//! Control planes restart their components one node at a time: a node takes its turn by holding a Lease.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::core::model::json::at;
use crate::ports::bootstrap::{ClusterObjects, ClusterObjectsError, ObjectRef, Progress};

/// Duration of the Lease: a node that died blocks the others no longer than that.
const TURN: Duration = Duration::from_secs(600);
/// How long to wait for a turn.
const PATIENCE: Duration = Duration::from_secs(1800);
const PAUSE: Duration = Duration::from_secs(2);
/// How long one Lease renewal may take: the API may be this node's own, which is just starting.
const HOLD_PATIENCE: Duration = Duration::from_secs(5);

fn lease() -> ObjectRef {
    ObjectRef::new("coordination.k8s.io/v1", "Lease", Some("kube-system"), "roost-renewal")
}

/// Result of waiting for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This node holds the Lease.
    Taken,
    /// The API does not answer, so there are no turns.
    NoApi,
    /// Another control plane held it until the timeout.
    NeverCame,
}

/// Waits for this node's turn.
pub async fn take_turn(
    objects: &dyn ClusterObjects,
    node: &str,
    now: fn() -> Timestamp,
    progress: &dyn Progress,
) -> Turn {
    let begun = Instant::now();
    let mut told = false;
    while begun.elapsed() < PATIENCE {
        match attempt(objects, node, now()).await {
            Ok(None) => return Turn::Taken,
            Ok(Some(holder)) => {
                if !std::mem::replace(&mut told, true) {
                    progress
                        .step_says(&format!("waiting: control plane {holder} is renewing certificates or upgrading"));
                }
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the API does not answer, so control planes cannot take turns"
                );
                return Turn::NoApi;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Turn::NeverCame
}

/// Renews the Lease; after a failure it may only expire early.
pub async fn hold_turn(objects: &dyn ClusterObjects, node: &str, now: Timestamp) {
    let held = tokio::time::timeout(HOLD_PATIENCE, attempt(objects, node, now)).await;
    tracing::debug!(?held, "tried to renew the lease of this node's turn");
}

/// Takes the Lease, or returns its holder.
async fn attempt(
    objects: &dyn ClusterObjects,
    node: &str,
    now: Timestamp,
) -> Result<Option<String>, ClusterObjectsError> {
    let spec = json!({
        "holderIdentity": node,
        "leaseDurationSeconds": TURN.as_secs(),
        "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
    });
    let outcome = match objects.get(&lease()).await? {
        None => {
            let object = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": { "namespace": "kube-system", "name": "roost-renewal" },
                "spec": spec,
            });
            objects.create(&object).await
        }
        Some(seen) => {
            if let Some(holder) = holder(&seen, now).filter(|holder| holder != node) {
                return Ok(Some(holder));
            }
            // Conditional on the version that was read: of two simultaneous attempts only one succeeds.
            let version = at(&seen, &["metadata", "resourceVersion"]);
            objects.merge_patch(&lease(), &json!({ "metadata": { "resourceVersion": version }, "spec": spec })).await
        }
    };
    match outcome {
        Err(ClusterObjectsError::Refused { code: 409, .. }) => Ok(Some("(another one)".to_owned())),
        outcome => outcome.map(|()| None),
    }
}

/// The current holder of the Lease.
fn holder(lease: &Value, now: Timestamp) -> Option<String> {
    let holder = at(lease, &["spec", "holderIdentity"]).as_str().filter(|holder| !holder.is_empty())?;
    let since: Timestamp = at(lease, &["spec", "renewTime"]).as_str()?.parse().ok()?;
    let age = now.duration_since(since);
    (age.unsigned_abs() < TURN).then(|| holder.to_owned())
}

pub async fn end_turn(objects: &dyn ClusterObjects) {
    if let Err(error) = objects.merge_patch(&lease(), &json!({ "spec": { "holderIdentity": "" } })).await {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "cannot release the lease of this node's turn; it will expire"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::Record;
    use crate::fakes::node::{FakeNode, FakeReachability};
    use crate::ports::bootstrap::Reachability;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn one_control_plane_renews_at_a_time_and_a_dead_one_holds_up_nobody_for_ever() {
        let api = FakeReachability(FakeNode::new()).connect("any".as_ref()).await.unwrap();
        assert_eq!(attempt(api.as_ref(), "n1", at(1000)).await.unwrap(), None);
        assert_eq!(attempt(api.as_ref(), "n2", at(1010)).await.unwrap(), Some("n1".to_owned()));
        assert_eq!(attempt(api.as_ref(), "n1", at(1020)).await.unwrap(), None, "its own turn goes on");
        end_turn(api.as_ref()).await;
        assert_eq!(attempt(api.as_ref(), "n2", at(1030)).await.unwrap(), None);
        assert_eq!(attempt(api.as_ref(), "n3", at(1640)).await.unwrap(), None, "n2 died in its turn");
        let record = Record::default();
        let turn = take_turn(api.as_ref(), "n1", || at(1650), &record).await;
        assert_eq!(turn, Turn::NeverCame, "patience has an end");
        assert!(record.text().contains("control plane n3 is renewing"), "{}", record.text());
        hold_turn(api.as_ref(), "n3", at(2200)).await;
        assert_eq!(attempt(api.as_ref(), "n1", at(2300)).await.unwrap(), Some("n3".to_owned()), "n3 still works");
    }
}
