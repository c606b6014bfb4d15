//! etcd's members for an operator: who they are, how they do, and their upkeep.

mod drill;
mod pods;
mod rebuild;
mod snapshot;

pub use drill::{drill, last_drill};
pub use rebuild::{recover, restore};
pub use snapshot::{TakenSnapshot, take};

use super::error::StepError;
use super::members::{client, endpoints, single};
use super::ports::Ports;
use crate::core::bootstrap::membership::{Member, label};
use crate::core::model::spec::Spec;
use crate::ports::{MemberHealth, MembersError, Progress};

/// How one member does, as it says itself.
#[derive(Debug)]
pub struct MemberReport {
    /// Its name; empty when nobody tells it.
    pub name: String,
    /// Where it was asked.
    pub endpoint: String,
    /// Its answer.
    pub health: Result<MemberHealth, MembersError>,
}

impl MemberReport {
    /// True when it answers, follows a leader and complains of nothing.
    pub fn is_healthy(&self) -> bool {
        self.health.as_ref().is_ok_and(|health| health.leader != 0 && health.errors.is_empty())
    }
}

/// All members.
pub async fn members(ports: &Ports, spec: &Spec) -> Result<Vec<Member>, StepError> {
    Ok(client(ports, spec).await?.list().await?)
}

/// Asks each member. Where nobody tells of the members, every endpoint is asked that this node knows.
pub async fn health(ports: &Ports, spec: &Spec) -> Result<Vec<MemberReport>, StepError> {
    let mut places: Vec<(String, String)> = match client(ports, spec).await?.list().await {
        Ok(members) => {
            let place = |member: &Member| Some((label(member), member.client_urls.first()?.clone()));
            members.iter().filter_map(place).collect()
        }
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "nobody tells of the members");
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

/// Gives unused space back, member by member, the leader last; a member that does not answer ends it, for one at a time
/// may be away.
pub async fn defragment(ports: &Ports, spec: &Spec, progress: &dyn Progress) -> Result<usize, StepError> {
    let mut reports = health(ports, spec).await?;
    reports.sort_by_key(|report| report.health.as_ref().is_ok_and(|health| health.leader == health.id));
    let mut done = 0;
    for report in reports {
        let before = report.health?;
        let member = single(ports, spec, &report.endpoint)?;
        member.defragment().await?;
        let after = member.health().await?;
        progress.step_says(&format!("{}: {} → {} bytes", report.name, before.db_size, after.db_size));
        done += 1;
    }
    Ok(done)
}

/// Removes the member of this name (or peer URL, of one that never started); false when there is none.
pub async fn remove(ports: &Ports, spec: &Spec, name: &str) -> Result<bool, StepError> {
    let client = client(ports, spec).await?;
    let members = client.list().await?;
    let Some(member) = members.iter().find(|member| label(member) == name) else { return Ok(false) };
    client.remove(member.id).await?;
    Ok(true)
}
