//! Serving certificates: only for names and addresses of the requesting node.

use super::parse::{NODE_USER, NODES, parse};
use super::{CertificateRequest, ClusterNames, Refusal, are_usages};

/// The node whose certificate is requested, if the requester is a node.
fn node_of(request: &CertificateRequest) -> Result<&str, Refusal> {
    let name = request.username.strip_prefix(NODE_USER).filter(|name| !name.is_empty());
    match name {
        Some(name) if request.groups.iter().any(|group| group == NODES) => Ok(name),
        _ => Err(Refusal::NotANode(request.username.clone())),
    }
}

/// Approves (`Ok`) when a node requests a server certificate for itself, with names of that node only.
pub fn judge_serving(request: &CertificateRequest, cluster: &ClusterNames) -> Result<(), Refusal> {
    let name = node_of(request)?;
    if !are_usages(&request.usages, "server auth") {
        return Err(Refusal::Usages(request.usages.clone()));
    }
    let parsed = parse(&request.pem)?;
    if !parsed.is_of_node || parsed.common_name != request.username {
        return Err(Refusal::Subject { found: parsed.subject, expected: request.username.clone() });
    }
    if parsed.names.is_empty() {
        return Err(Refusal::NoNames);
    }
    let node = cluster.node(name).ok_or_else(|| Refusal::NotRegistered(name.to_owned()))?;
    for asked in parsed.names {
        let asked = asked.map_err(Refusal::NotAMachine)?;
        cluster.judge(node, &asked)?;
    }
    Ok(())
}
