//! Keeps the node's routes, CNI configuration and masquerade rule in the state that the Nodes require.
//!
//! Inputs: the nodes (`watch`, only the newest state matters) and notifications of changes to the node's network.
//! Output: calls of the [`PodNetwork`] port, and an event for each Node whose pod CIDR is rejected. Parts that
//! something else removes are restored. Between two rounds only the last failure and the reported claims are
//! remembered.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::core::model::time::Moment;
use crate::core::model::with_causes;
use crate::core::network::claims::{RefusedClaim, judge};
use crate::core::network::{NodeNetwork, Route, RouteChange, bridge, conflist, masquerade, routes};
use crate::ports::bootstrap::{NetworkChange, NodeEvents, PodNetwork, PodNetworkError};

/// Pause before a failed round is repeated.
const RETRY: Duration = Duration::from_secs(5);
/// Changes arrive in bursts; one round handles them all.
const SETTLE: Duration = Duration::from_millis(200);
/// Some changes cause no notification, and notifications may be lost: everything is checked at this interval.
const LOOK: Duration = Duration::from_secs(60);

/// What the agent knows before it has seen any Node.
#[derive(Clone, Debug)]
pub struct PodNetworkSettings {
    /// Name of this node.
    pub node_name: String,
    /// The cluster's pod subnets, at most one per address family.
    pub pod_subnets: Vec<IpNet>,
}

/// Runs until the sender of `nodes` is dropped.
pub async fn run_pod_network(
    settings: PodNetworkSettings,
    mut nodes: watch::Receiver<Option<Arc<[NodeNetwork]>>>,
    network: Arc<dyn PodNetwork>,
    events: Arc<dyn NodeEvents>,
) {
    let mut refused: Vec<RefusedClaim> = Vec::new();
    let mut last_failure = None;
    // Routes are checked more often than the rest, which needs subprocesses.
    let mut whole = true;
    let mut next_look = Instant::now();
    // Number of consecutive rounds that found something missing.
    let mut repairs = 0_u32;
    loop {
        let snapshot = nodes.borrow_and_update().clone();
        if whole {
            next_look = Instant::now().later(LOOK);
        }
        let mut repaired = false;
        let base = match whole {
            true => lay_base(&settings.pod_subnets, network.as_ref(), &mut repaired).await,
            false => Ok(()),
        };
        let base_failed = base.is_err();
        let outcome = async {
            match &snapshot {
                Some(snapshot) => {
                    let claims = judge(snapshot, &settings.node_name, &settings.pod_subnets);
                    report_refused(&claims.refused, &mut refused, events.as_ref()).await;
                    let desired = claims.routes();
                    let round = Round { settings: &settings, nodes: snapshot, desired: &desired, whole };
                    round.converge(network.as_ref(), &mut repaired).await
                }
                None => Ok(()),
            }
        };
        let outcome = base.and(outcome.await);
        let failure = outcome.as_ref().err().map(|error| with_causes(error));
        // An unreachable gateway fails in every round: it is logged once.
        if let Some(error) = failure.as_ref().filter(|failure| Some(*failure) != last_failure.as_ref()) {
            tracing::warn!(error, "the pod network is incomplete");
        }
        last_failure = failure;
        whole = base_failed;
        repairs = if repaired { repairs.saturating_add(1) } else { 0 };
        let ended = Instant::now();
        // All branches are cancel-safe: each only waits for a newer state, which the next round reads anyway.
        tokio::select! {
            changed = nodes.changed() => if changed.is_err() { return },
            change = network.changed() => {
                whole |= change == NetworkChange::Base;
                if ended.elapsed() > settle(repairs).saturating_mul(2) {
                    repairs = 0;
                }
                tokio::time::sleep(settle(repairs)).await;
            }
            () = tokio::time::sleep_until(next_look) => whole = true,
            () = tokio::time::sleep(RETRY), if outcome.is_err() => {}
        }
    }
}

/// The pause between a change and its round: it grows each time a restored part is removed again at once.
fn settle(repairs: u32) -> Duration {
    SETTLE.saturating_mul(2_u32.saturating_pow(repairs.saturating_sub(2))).min(RETRY)
}

/// The parts of the pod network that do not depend on Nodes; sets `repaired` if one of them was missing.
async fn lay_base(pod_subnets: &[IpNet], network: &dyn PodNetwork, repaired: &mut bool) -> Result<(), PodNetworkError> {
    let forwarding = network.apply_forwarding(pod_subnets.iter().any(|subnet| subnet.addr().is_ipv6())).await;
    let rules = network.apply_ruleset(&masquerade::render_ruleset(pod_subnets)).await;
    if matches!(forwarding, Ok(true)) {
        *repaired = true;
        tracing::info!("enabled IP forwarding");
    }
    if matches!(rules, Ok(true)) {
        *repaired = true;
        tracing::info!(?pod_subnets, "set the masquerading rules");
    }
    forwarding.and(rules).map(drop)
}

/// Reports each rejected claim once, in the log and as an event of its Node.
async fn report_refused(refused: &[RefusedClaim], told: &mut Vec<RefusedClaim>, events: &dyn NodeEvents) {
    for claim in refused.iter().filter(|claim| !told.contains(claim)) {
        let RefusedClaim { node, cidr, refusal } = claim;
        tracing::warn!(node, %cidr, %refusal, "rejected a node's pod CIDR; no route to it is set");
        let message = format!("No other node sends traffic to pod CIDR {cidr} of this node: {refusal}");
        if let Err(error) = events.report_refused_range(node, &cidr.to_string(), &message).await {
            tracing::debug!(node, error = with_causes(&error), "cannot create an event about the rejected pod CIDR");
        }
    }
    *told = refused.to_vec();
}

/// What the Nodes require at the moment.
struct Round<'a> {
    settings: &'a PodNetworkSettings,
    nodes: &'a [NodeNetwork],
    desired: &'a [Route],
    /// True to check the bridge too.
    whole: bool,
}

impl Round<'_> {
    /// Tries every step and returns the first failure; sets `repaired` if something was missing.
    async fn converge(&self, network: &dyn PodNetwork, repaired: &mut bool) -> Result<(), PodNetworkError> {
        let own = self.nodes.iter().find(|node| node.name == self.settings.node_name && !node.pod_cidrs.is_empty());
        let mut outcome = Ok(());
        if let Some(own) = own {
            outcome = configure(own, network, repaired).await;
        }
        for change in routes::plan_routes(self.desired, &network.observe_routes().await?) {
            match network.apply_route(&change).await {
                Ok(()) => {
                    *repaired = true;
                    match &change {
                        RouteChange::Set(route) => {
                            tracing::info!(destination = %route.destination, gateway = %route.gateway, "set route")
                        }
                        RouteChange::Remove(route) => {
                            tracing::info!(destination = %route.destination, gateway = %route.gateway, "removed route")
                        }
                    }
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        if let Some(own) = own.filter(|_| self.whole) {
            outcome = outcome.and(restore_bridge(&own.pod_cidrs, network, repaired).await);
        }
        outcome
    }
}

async fn configure(own: &NodeNetwork, network: &dyn PodNetwork, repaired: &mut bool) -> Result<(), PodNetworkError> {
    let mtu = match own.addresses.first() {
        Some(address) => network.observe_mtu(*address).await?,
        None => None,
    };
    if network.apply_conflist(&conflist::render_conflist(&own.pod_cidrs, mtu)).await? {
        *repaired = true;
        tracing::info!(pod_cidrs = ?own.pod_cidrs, mtu, "wrote the CNI configuration");
    }
    Ok(())
}

async fn restore_bridge(
    pod_cidrs: &[IpNet],
    network: &dyn PodNetwork,
    repaired: &mut bool,
) -> Result<(), PodNetworkError> {
    for change in bridge::plan_bridge(pod_cidrs, &network.observe_bridge().await?) {
        network.apply_bridge(&change).await?;
        *repaired = true;
        tracing::info!(?change, "restored the pod bridge");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
