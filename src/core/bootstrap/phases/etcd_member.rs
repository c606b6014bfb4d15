//! Phases `etcd-member`, `etcd` and `etcd-promote` of a joining control plane, and its removal from etcd.

use super::super::membership::peer_url;
use super::super::step::MemberStep;
use super::super::{Facts, PhaseError, Step};
use super::control_plane;
use crate::core::model::spec::Spec;

/// Adds the node as a learner, before its etcd starts.
pub fn plan_add(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if spec.cluster.external_etcd.is_some() {
        return Ok(Vec::new());
    }
    let url = peer_url(spec);
    let known = facts.etcd_members.iter().any(|(_, peer)| *peer == url);
    if facts.etcd_data && !known {
        return Err(PhaseError::NotYet {
            missing: format!(
                "{} contains data of an etcd cluster of which this node is not a member",
                spec.node.paths.etcd_data.display()
            ),
            remedy: "run `bootstrap reset` first, or move the data away".to_owned(),
        });
    }
    Ok(vec![Step::Member(MemberStep::Add { name: spec.node.name.clone(), peer_url: url })])
}

/// etcd's data directory and its manifest or service, with the members that it joins.
pub fn plan_manifest(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let url = peer_url(spec);
    if spec.cluster.external_etcd.is_none() && !facts.etcd_members.iter().any(|(_, peer)| *peer == url) {
        return Err(PhaseError::NotYet {
            missing: format!("etcd has no member at {url}, or does not answer"),
            remedy: "run the phase etcd-member first".to_owned(),
        });
    }
    control_plane::plan_etcd(spec, facts)
}

/// Makes the learner a voting member once it has caught up.
pub fn plan_promote(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if spec.cluster.external_etcd.is_some() {
        return Ok(Vec::new());
    }
    Ok(vec![Step::Member(MemberStep::Promote { name: spec.node.name.clone(), peer_url: peer_url(spec) })])
}

/// Updates the member's peer URL before this member restarts with a new address, if some member is reachable.
pub fn plan_address_first(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    plan_move(spec, facts, true)
}

/// Updates the member's peer URL, which is required now.
pub fn plan_address(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    plan_move(spec, facts, false)
}

fn plan_move(spec: &Spec, _facts: &Facts, may_wait: bool) -> Result<Vec<Step>, PhaseError> {
    if spec.cluster.external_etcd.is_some() {
        return Ok(Vec::new());
    }
    Ok(vec![Step::Member(MemberStep::Move { name: spec.node.name.clone(), peer_url: peer_url(spec), may_wait })])
}

/// Removes the member while etcd still runs here.
pub fn plan_remove(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if spec.cluster.external_etcd.is_some() {
        return Ok(Vec::new());
    }
    Ok(vec![Step::Member(MemberStep::Remove { name: spec.node.name.clone(), peer_url: peer_url(spec) })])
}
