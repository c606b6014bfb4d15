//! Client certificates requested with bootstrap tokens: a token can create a new node, never take over an existing one.
//!
//! Upstream's controller would approve the name of any node (`pkg/controller/certificates/approver/sarapprove.go`), so
//! our clusters do not grant bootstrap tokens its `nodeclient` right. Renewals by kubelets are still approved there.

use jiff::{SignedDuration, Timestamp};

use super::parse::{NODE_USER, Parsed, parse};
use super::{
    CLIENT_SIGNER, CertificateRequest, ClusterNames, Decision, ObservedRequest, Refusal, SERVING_SIGNER, are_usages,
};
use crate::core::bootstrap::key_handover::{TOKEN_GROUP, USED_TOKEN_GROUP};
use crate::core::bootstrap::objects::BOOTSTRAP_GROUP;

/// Prefix of a token's user name, followed by its id.
pub const BOOTSTRAP_USER: &str = "system:bootstrap:";
/// How long an approved request reserves the name of a node that is about to register: as long as upstream's cleaner
/// keeps it.
const CLAIM: SignedDuration = SignedDuration::from_hours(1);

/// `true` if a bootstrap token created it for a new node; requests of others are left to other approvers.
pub fn claims_of(request: &CertificateRequest) -> bool {
    request.signer == CLIENT_SIGNER
        && request.username.starts_with(BOOTSTRAP_USER)
        && request.groups.iter().any(|group| group == BOOTSTRAP_GROUP)
}

/// Approves (`Ok`) a token's request for the client certificate of a node that does not exist. `all` are all existing
/// requests, including this one.
pub fn judge_client(
    own: &ObservedRequest,
    all: &[ObservedRequest],
    cluster: &ClusterNames,
    now: Timestamp,
) -> Result<(), Refusal> {
    let request = &own.request;
    if !claims_of(request) {
        return Err(Refusal::NotANode(request.username.clone()));
    }
    if !are_usages(&request.usages, "client auth") {
        return Err(Refusal::Usages(request.usages.clone()));
    }
    let parsed = parse(&request.pem)?;
    let expected = || Refusal::Subject { found: parsed.subject.clone(), expected: format!("{NODE_USER}NAME") };
    let node = parsed.common_name.strip_prefix(NODE_USER).filter(|_| parsed.is_of_node).ok_or_else(expected)?;
    if let Some(name) = parsed.names.first() {
        return Err(Refusal::ClientNames(name.as_ref().map_or_else(Clone::clone, super::show)));
    }
    if cluster.node(node).is_some() {
        return Err(Refusal::NodeExists(node.to_owned()));
    }
    let joins_control_plane = request.groups.iter().any(|group| group == TOKEN_GROUP || group == USED_TOKEN_GROUP);
    cluster.judge_new_name(node, joins_control_plane)?;
    judge_claims(own, &parsed, node, all, now)
}

/// Checks other requests for the same name with a different key. Agents decide concurrently: the order in which the API
/// server accepted the requests is the same for all of them.
fn judge_claims(
    own: &ObservedRequest,
    parsed: &Parsed,
    node: &str,
    all: &[ObservedRequest],
    now: Timestamp,
) -> Result<(), Refusal> {
    let version = |request: &ObservedRequest| request.resource_version.parse::<u64>().unwrap_or_default();
    let others = all.iter().filter(|other| other.uid != own.uid && claims_of(&other.request));
    for other in others {
        let Ok(seen) = parse(&other.request.pem) else { continue };
        if seen.common_name != parsed.common_name || seen.public_key == parsed.public_key {
            continue;
        }
        let (node, request) = (node.to_owned(), other.name.clone());
        match other.decision {
            Decision::Approved(at) if now.duration_since(at) < CLAIM && !has_registered(&node, at, all) => {
                return Err(Refusal::Claimed { node, request });
            }
            Decision::Undecided if version(other) < version(own) => {
                return Err(Refusal::AskedBefore { node, request });
            }
            Decision::Approved(_) | Decision::Undecided | Decision::Refused => {}
        }
    }
    Ok(())
}

/// True when the node has been issued a serving certificate since then, which requires a Node object: if the Node is
/// missing now, somebody deleted it.
fn has_registered(node: &str, since: Timestamp, all: &[ObservedRequest]) -> bool {
    let user = format!("{NODE_USER}{node}");
    let serving = all.iter().filter(|other| other.request.signer == SERVING_SIGNER && other.request.username == user);
    serving.into_iter().any(|other| matches!(other.decision, Decision::Approved(at) if at >= since))
}
