//! Updates this node's peer URL in etcd when its address has changed.

use std::time::Duration;

use tokio::time::Instant;

use super::error::StepError;
use super::members;
use super::ports::Ports;
use crate::core::bootstrap::membership::{AddressMove, address_move};
use crate::core::model::StepOutcome;
use crate::core::model::spec::Spec;

/// How long etcd may take to answer after a restart, and to accept a change.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// True if etcd knows this URL, or if this node has no member.
pub async fn is_known(ports: &Ports, spec: &Spec, peer_url: &str) -> Result<bool, StepError> {
    if !members::may_be_one(ports, spec)? {
        return Ok(true);
    }
    let listed = members::client(ports, spec).await?.list().await;
    Ok(listed.is_ok_and(|members| members.iter().any(|member| member.peer_urls.iter().any(|url| url == peer_url))))
}

/// Updates the URL in etcd. With `may_wait` it tries once and ignores a failure.
pub async fn tell(
    ports: &Ports,
    spec: &Spec,
    name: &str,
    peer_url: &str,
    may_wait: bool,
) -> Result<StepOutcome, StepError> {
    let client = members::client(ports, spec).await?;
    let begun = Instant::now();
    loop {
        let outcome = match client.list().await {
            Ok(members) => match address_move(&members, name, peer_url) {
                AddressMove::Known => return Ok(StepOutcome::Unchanged),
                AddressMove::Tell(id) => client.set_peer_url(id, peer_url).await,
                AddressMove::NoMember => return Err(StepError::NotMember { name: name.to_owned() }),
            },
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => return Ok(StepOutcome::Changed),
            Err(_) if may_wait => return Ok(StepOutcome::Unchanged),
            Err(error) if begun.elapsed() >= PATIENCE => return Err(error.into()),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "etcd does not know the new address yet")
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
