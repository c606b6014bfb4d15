//! This node's member of etcd: it joins as a learner, is promoted, moves to another address, and leaves.

use std::time::Duration;

use tokio::time::Instant;

use crate::bootstrap::error::{StepError, TimedOut};
use crate::bootstrap::etcd::client::{ClientError, client, find, identity, may_be_one, single};
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::membership::{AddressMove, NextMove, address_move, next_move};
use crate::core::bootstrap::step::MemberStep;
use crate::core::model::spec::{Endpoint, Spec};
use crate::core::model::{StepOutcome, with_causes};
use crate::ports::bootstrap::{MembersError, Progress};

/// How long another learner is waited for: it may copy a large database.
const QUEUE_PATIENCE: Duration = Duration::from_secs(600);
/// How long a learner may make no progress before it is given up.
const STALL_PATIENCE: Duration = Duration::from_secs(240);
/// How long etcd may refuse a change of members, as it does for some seconds after another one.
const CHANGE_PATIENCE: Duration = Duration::from_secs(60);
/// How long etcd may take to answer after a restart, and to accept another peer URL.
const MOVE_PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
/// How often a waiting step reports.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// True if the member is as wanted; false if etcd cannot be asked.
pub async fn is_met(ports: &Ports, spec: &Spec, step: &MemberStep) -> Result<bool, StepError> {
    match step {
        MemberStep::Add { name, peer_url } => is_added(ports, spec, name, peer_url).await,
        MemberStep::Promote { name, peer_url } => has_vote(ports, spec, name, peer_url).await,
        MemberStep::Move { peer_url, .. } => is_known(ports, spec, peer_url).await,
        // Whether the member can be removed shows only when it is removed.
        MemberStep::Remove { .. } => Ok(!may_be_one(ports, spec)?),
    }
}

/// Makes the member as wanted.
pub async fn apply(
    ports: &Ports,
    spec: &Spec,
    step: &MemberStep,
    progress: &dyn Progress,
) -> Result<StepOutcome, StepError> {
    match step {
        MemberStep::Add { name, peer_url } => add(ports, spec, name, peer_url, progress).await?,
        MemberStep::Promote { name, peer_url } => promote(ports, spec, name, peer_url, progress).await?,
        MemberStep::Move { name, peer_url, may_wait } => {
            return move_url(ports, spec, name, peer_url, *may_wait).await;
        }
        MemberStep::Remove { name, peer_url } => return remove(ports, spec, name, peer_url, progress).await,
    }
    Ok(StepOutcome::Changed)
}

/// True when etcd knows this node.
async fn is_added(ports: &Ports, spec: &Spec, name: &str, peer_url: &str) -> Result<bool, StepError> {
    Ok(matches!(seen(ports, spec, name, peer_url).await?, Some(NextMove::Promote(_) | NextMove::Done(_))))
}

/// True if this node is a voting member.
async fn has_vote(ports: &Ports, spec: &Spec, name: &str, peer_url: &str) -> Result<bool, StepError> {
    Ok(matches!(seen(ports, spec, name, peer_url).await?, Some(NextMove::Done(_))))
}

async fn seen(ports: &Ports, spec: &Spec, name: &str, peer_url: &str) -> Result<Option<NextMove>, StepError> {
    if identity(ports, spec)?.is_none() {
        return Ok(None);
    }
    let Ok(client) = client(ports, spec).await else { return Ok(None) };
    Ok(client.list().await.ok().map(|members| next_move(&members, name, peer_url)))
}

/// Reports now and then what is waited for.
struct Throttled<'a> {
    progress: &'a dyn Progress,
    last: Option<Instant>,
}

impl<'a> Throttled<'a> {
    fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, last: None }
    }

    fn report(&mut self, text: &str) {
        if self.last.is_none_or(|last| last.elapsed() >= REPORT_EVERY) {
            self.progress.step_says(text);
            self.last = Some(Instant::now());
        }
    }
}

fn timed_out(condition: String, since: Instant) -> StepError {
    let hint = "`bootstrap etcd members` on a control plane shows them".to_owned();
    StepError::TimedOut(TimedOut { condition, seconds: since.elapsed().as_secs(), hint })
}

/// Makes this node a member: a learner, when no other learner is there.
async fn add(ports: &Ports, spec: &Spec, name: &str, peer_url: &str, progress: &dyn Progress) -> Result<(), StepError> {
    let client = client(ports, spec).await?;
    let begun = Instant::now();
    let mut refused_since: Option<Instant> = None;
    let mut throttled = Throttled::new(progress);
    loop {
        let outcome = match client.list().await {
            Ok(members) => match next_move(&members, name, peer_url) {
                NextMove::Promote(_) | NextMove::Done(_) => return Ok(()),
                NextMove::Taken(member) => {
                    let urls = member.peer_urls.join(",");
                    return Err(StepError::MemberTaken { name: name.to_owned(), urls });
                }
                NextMove::WaitFor(other) => {
                    throttled.report(&format!("etcd accepts one new member at a time: waiting for {other}"));
                    if begun.elapsed() >= QUEUE_PATIENCE {
                        return Err(timed_out(format!("etcd member {other} is a voting member"), begun));
                    }
                    refused_since = None;
                    Ok(())
                }
                NextMove::AddLearner => client.add_learner(peer_url).await.map(drop),
            },
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) | Err(MembersError::TooManyLearners) => {}
            Err(error) => {
                let since = *refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= CHANGE_PATIENCE {
                    return Err(error.into());
                }
                tracing::debug!(error = &error as &dyn std::error::Error, "etcd does not accept a member yet");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Promotes this node once its log has caught up; gives up if it makes no progress.
async fn promote(
    ports: &Ports,
    spec: &Spec,
    name: &str,
    peer_url: &str,
    progress: &dyn Progress,
) -> Result<(), StepError> {
    let client = client(ports, spec).await?;
    let own = single(ports, spec, &Endpoint::new(spec.node.address, 2379).url())?;
    let mut throttled = Throttled::new(progress);
    let mut moved = Instant::now();
    let mut index = 0;
    loop {
        let id = match client.list().await.map(|members| next_move(&members, name, peer_url)) {
            Ok(NextMove::Done(_)) => return Ok(()),
            Ok(NextMove::Promote(id)) => Some(id),
            Ok(NextMove::AddLearner | NextMove::WaitFor(_) | NextMove::Taken(_)) => {
                return Err(timed_out(format!("etcd has member {name}; it was removed by somebody"), moved));
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "etcd does not answer");
                None
            }
        };
        if let Some(id) = id {
            match client.promote(id).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "not promoted yet"),
            }
        }
        let (Ok(here), Ok(there)) = (own.health().await, client.health().await) else {
            if moved.elapsed() >= STALL_PATIENCE {
                return Err(timed_out(format!("etcd answers on this node ({name})"), moved));
            }
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if here.raft_index > index {
            (index, moved) = (here.raft_index, Instant::now());
        }
        let lag = there.raft_index.saturating_sub(here.raft_index);
        throttled.report(&format!(
            "etcd replicates its log: entry {} of {}, {lag} behind",
            here.raft_index, there.raft_index
        ));
        if moved.elapsed() >= STALL_PATIENCE {
            return Err(timed_out(format!("etcd member {name} has caught up ({lag} entries behind)"), moved));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Takes this node out of etcd. A cluster that lost its quorum cannot do that and must not keep a node from being
/// reset: then it is only said.
async fn remove(
    ports: &Ports,
    spec: &Spec,
    name: &str,
    peer_url: &str,
    progress: &dyn Progress,
) -> Result<StepOutcome, StepError> {
    let begun = Instant::now();
    let client = match client(ports, spec).await {
        Ok(client) => client,
        Err(ClientError::NoMembers { .. }) => return Ok(StepOutcome::Unchanged),
        Err(error) => return Err(error.into()),
    };
    loop {
        let outcome = match client.list().await {
            Ok(members) => match find(&members, peer_url) {
                None => return Ok(StepOutcome::Unchanged),
                Some(own) if members.iter().filter(|member| !member.learner).all(|voter| voter.id == own.id) => {
                    return Ok(StepOutcome::Unchanged);
                }
                Some(own) => client.remove(own.id).await,
            },
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => return Ok(StepOutcome::Changed),
            Err(error) if begun.elapsed() >= CHANGE_PATIENCE => {
                progress.step_says(&format!(
                    "etcd did not remove member {name} ({}); if etcd still runs elsewhere, remove the member there with `bootstrap etcd remove {name}`",
                    with_causes(&error)
                ));
                return Ok(StepOutcome::Unchanged);
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "etcd does not remove the member yet")
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// True if etcd knows this URL, and on a node that has no member.
async fn is_known(ports: &Ports, spec: &Spec, peer_url: &str) -> Result<bool, StepError> {
    if !may_be_one(ports, spec)? {
        return Ok(true);
    }
    let listed = client(ports, spec).await?.list().await;
    Ok(listed.is_ok_and(|members| members.iter().any(|member| member.peer_urls.iter().any(|url| url == peer_url))))
}

/// Updates the peer URL in etcd. Where that may wait it is only tried.
async fn move_url(
    ports: &Ports,
    spec: &Spec,
    name: &str,
    peer_url: &str,
    may_wait: bool,
) -> Result<StepOutcome, StepError> {
    let client = client(ports, spec).await?;
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
            Err(error) if begun.elapsed() >= MOVE_PATIENCE => return Err(error.into()),
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "etcd does not know yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
