//! Keeps the node's routes, CNI configuration and masquerade rule equal to what the Nodes ask for.
//!
//! Inputs: the nodes (`watch`, only the newest matters) and word of routing changes; output: calls of the
//! [`PodNetwork`] port, and an event at each Node whose claims are refused. Nothing is remembered between two rounds but
//! the last failure, and what was told.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;

use crate::core::model::with_causes;
use crate::core::network::claims::{RefusedClaim, judge};
use crate::core::network::{NodeNetwork, Route, RouteChange, conflist, masquerade, routes};
use crate::ports::{NodeEvents, PodNetwork, PodNetworkError};

/// How long after a failure the round is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Routing changes come in bursts; one round serves them all.
const SETTLE: Duration = Duration::from_millis(200);

/// What the agent knows before it hears of any node.
#[derive(Clone, Debug)]
pub struct PodNetworkSettings {
    /// Name of this node.
    pub node_name: String,
    /// The cluster's pod subnets, at most one per address family.
    pub pod_subnets: Vec<IpNet>,
}

/// Runs until the sender of `nodes` is gone.
pub async fn run_pod_network(
    settings: PodNetworkSettings,
    mut nodes: watch::Receiver<Option<Arc<[NodeNetwork]>>>,
    network: Arc<dyn PodNetwork>,
    events: Arc<dyn NodeEvents>,
) {
    let mut ruleset_applied = false;
    let mut refused: Vec<RefusedClaim> = Vec::new();
    let mut last_failure = None;
    loop {
        let snapshot = nodes.borrow_and_update().clone();
        let outcome = async {
            if !ruleset_applied {
                network.apply_ruleset(&masquerade::render_ruleset(&settings.pod_subnets)).await?;
                ruleset_applied = true;
            }
            match &snapshot {
                Some(snapshot) => {
                    let claims = judge(snapshot, &settings.node_name, &settings.pod_subnets);
                    report_refused(&claims.refused, &mut refused, events.as_ref()).await;
                    converge(&settings, snapshot, &claims.routes(), network.as_ref()).await
                }
                None => Ok(()),
            }
        };
        let outcome = outcome.await;
        let failure = outcome.as_ref().err().map(|error| with_causes(error));
        // A gateway that no link leads to fails in every round: it is told once.
        if let Some(error) = failure.as_ref().filter(|failure| Some(*failure) != last_failure.as_ref()) {
            tracing::warn!(error, "the pod network is incomplete");
        }
        last_failure = failure;
        // All three are safe to cancel: each only waits for a newer state, which the next round reads anyway.
        tokio::select! {
            changed = nodes.changed() => if changed.is_err() { return },
            () = network.changed(), if snapshot.is_some() => tokio::time::sleep(SETTLE).await,
            () = tokio::time::sleep(RETRY), if outcome.is_err() => {}
        }
    }
}

/// Tells once of each claim that is refused, in the log and at its Node.
async fn report_refused(refused: &[RefusedClaim], told: &mut Vec<RefusedClaim>, events: &dyn NodeEvents) {
    for claim in refused.iter().filter(|claim| !told.contains(claim)) {
        let RefusedClaim { node, cidr, refusal } = claim;
        tracing::warn!(node, %cidr, %refusal, "a node's pod CIDR is refused; no traffic goes there");
        let message = format!("No other node sends traffic to pod CIDR {cidr} of this node: {refusal}");
        if let Err(error) = events.report_refused_range(node, &cidr.to_string(), &message).await {
            tracing::debug!(node, error = &error as &dyn std::error::Error, "no event about the pod CIDR");
        }
    }
    *told = refused.to_vec();
}

/// One round: every step is tried, and the first failure is returned.
async fn converge(
    settings: &PodNetworkSettings,
    nodes: &[NodeNetwork],
    desired: &[Route],
    network: &dyn PodNetwork,
) -> Result<(), PodNetworkError> {
    let mut outcome = Ok(());
    if let Some(own) = nodes.iter().find(|node| node.name == settings.node_name && !node.pod_cidrs.is_empty()) {
        let mtu = match own.addresses.first() {
            Some(address) => network.observe_mtu(*address).await?,
            None => None,
        };
        if network.apply_conflist(&conflist::render_conflist(&own.pod_cidrs, mtu)).await? {
            tracing::info!(pod_cidrs = ?own.pod_cidrs, mtu, "wrote the CNI configuration");
        }
    }
    for change in routes::plan_routes(desired, &network.observe_routes().await?) {
        match network.apply_route(&change).await {
            Ok(()) => match &change {
                RouteChange::Set(route) => {
                    tracing::info!(destination = %route.destination, gateway = %route.gateway, "set route")
                }
                RouteChange::Remove(route) => {
                    tracing::info!(destination = %route.destination, gateway = %route.gateway, "removed route")
                }
            },
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
