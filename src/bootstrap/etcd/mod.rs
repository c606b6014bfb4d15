//! etcd's members, for operators: list, health and maintenance.

pub mod client;
mod drill;
mod error;
mod needs;
mod pods;
mod rebuild;
mod snapshot;

pub use client::has_joined;
pub use drill::{drill, foresee_drill, last_drill};
pub use error::Error;
pub use needs::needs_kubelet;
pub use rebuild::{foresee_recover, foresee_restore, recover, restore};
pub use snapshot::{TakenSnapshot, foresee_take, take};

use self::client::{client, endpoints, single};
use self::needs::must_be_ours;
use super::ports::Ports;
use crate::core::bootstrap::membership::{Member, label};
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{MemberHealth, MembersError, Progress};

/// Health of one member, as it reports it.
#[derive(Debug)]
pub struct MemberReport {
    /// Name of the member; empty if unknown.
    pub name: String,
    /// The client URL that was asked.
    pub endpoint: String,
    /// Its answer, or why there is none.
    pub health: Result<MemberHealth, MembersError>,
}

impl MemberReport {
    /// True if the member answers, has a leader and reports no alarm.
    pub fn is_healthy(&self) -> bool {
        self.health.as_ref().is_ok_and(|health| health.leader != 0 && health.errors.is_empty())
    }
}

pub async fn members(ports: &Ports, spec: &Spec) -> Result<Vec<Member>, Error> {
    Ok(client(ports, spec).await?.list().await?)
}

/// Asks each member. If the members are unknown, every endpoint that this node knows is asked.
pub async fn health(ports: &Ports, spec: &Spec) -> Result<Vec<MemberReport>, Error> {
    let mut places: Vec<(String, String)> = match client(ports, spec).await?.list().await {
        Ok(members) => {
            let place = |member: &Member| Some((label(member), member.client_urls.first()?.clone()));
            members.iter().filter_map(place).collect()
        }
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "no source knows the members");
            endpoints(ports, spec).await?.into_iter().map(|url| (String::new(), url)).collect()
        }
    };
    places.sort();
    let mut reports = Vec::new();
    for (name, endpoint) in places {
        let health = single(ports, spec, &endpoint)?.health().await;
        reports.push(MemberReport { name, endpoint, health });
    }
    Ok(reports)
}

/// Result of a defragmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defragmented {
    /// Number of defragmented members.
    pub members: usize,
    /// True if the NOSPACE alarm was set and is now cleared.
    pub disarmed: bool,
}

/// Frees unused space, member by member, the leader last; stops at a member that does not answer, since only one may be
/// unavailable at a time. With `compact`, old revisions are compacted first. When every member has room, the NOSPACE
/// alarm is cleared.
pub async fn defragment(
    ports: &Ports,
    spec: &Spec,
    compact: bool,
    progress: &dyn Progress,
) -> Result<Defragmented, Error> {
    let cluster = client(ports, spec).await?;
    if compact {
        cluster.compact().await?;
        progress.step_says("old revisions are compacted");
    }
    let reports = leader_last(health(ports, spec).await?);
    let mut members: usize = 0;
    let mut room = true;
    for report in reports {
        let before = report.health?;
        let member = single(ports, spec, &report.endpoint)?;
        member.defragment().await?;
        let after = member.health().await?;
        progress.step_says(&format!("{}: {} → {} bytes", report.name, before.db_size, after.db_size));
        room &= has_room(&after);
        members = members.saturating_add(1);
    }
    if !room {
        progress
            .step_says("no space was freed: delete objects that are not needed, or raise etcd's quota-backend-bytes");
    }
    Ok(Defragmented { members, disarmed: room && cluster.disarm_no_space().await? })
}

fn leader_last(mut reports: Vec<MemberReport>) -> Vec<MemberReport> {
    reports.sort_by_key(|report| report.health.as_ref().is_ok_and(|health| health.leader == health.id));
    reports
}

/// The plan of `defragment`, one line per step.
pub async fn foresee_defragment(ports: &Ports, spec: &Spec, compact: bool) -> Result<Vec<String>, Error> {
    let mut lines: Vec<String> = compact.then(|| "compact old revisions".to_owned()).into_iter().collect();
    for report in leader_last(health(ports, spec).await?) {
        let health = report.health?;
        lines.push(format!("defragment {}: {} of {} bytes are in use", report.name, health.db_in_use, health.db_size));
    }
    Ok(lines)
}

/// Uses less than nine tenths of the quota; above that the alarm would soon be raised again.
fn has_room(health: &MemberHealth) -> bool {
    health.db_quota <= 0 || health.db_size < (health.db_quota / 10).saturating_mul(9)
}

/// Removes the member of this name (or peer URL, of one that never started), and gives it; `None` when there is none.
/// A dry run only finds it.
pub async fn remove(ports: &Ports, spec: &Spec, name: &str, dry_run: bool) -> Result<Option<Member>, Error> {
    must_be_ours(spec)?;
    let client = client(ports, spec).await?;
    let Some(member) = client.list().await?.into_iter().find(|member| label(member) == name) else { return Ok(None) };
    if !dry_run {
        client.remove(member.id).await?;
    }
    Ok(Some(member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_let_in_again_only_where_there_is_room() {
        let health = |db_size, db_quota| MemberHealth {
            id: 1,
            leader: 1,
            raft_index: 1,
            applied_index: 1,
            db_size,
            db_in_use: 1,
            db_quota,
            version: "3.6.8".to_owned(),
            learner: false,
            errors: Vec::new(),
        };
        assert!(has_room(&health(10, 100)));
        assert!(!has_room(&health(90, 100)));
        assert!(has_room(&health(90, 0)), "an etcd that does not tell its quota");
    }
}
