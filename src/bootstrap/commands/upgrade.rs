//! `bootstrap upgrade`: plan, checks, and the order of the parts of one node.

use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use super::node::{is_control_plane, refuse_under_way};
use super::turn::{unless_stopped, wait_for_turn};
use crate::bootstrap::api::{administrator, connect};
use crate::bootstrap::join::adopt_settings;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::renewal::end_turn;
use crate::bootstrap::run::{RunOptions, run};
use crate::bootstrap::upgrade::{ControlPlaneChange, Purpose, is_under_way, observe_cluster, upgrade_control_plane};
use crate::core::bootstrap::Facts;
use crate::core::bootstrap::upgrade::{ObservedCluster, UpgradePlan, Wanted, derive_plan};
use crate::core::bootstrap::workflow::{
    Phase, UPGRADE_ADDONS, UPGRADE_IMAGES, UPGRADE_NODE, UPGRADE_SETTINGS, UPGRADE_WORKER,
};
use crate::core::model::Version;
use crate::core::model::kubelet_spec::KUBERNETES_VERSION;
use crate::core::model::spec::{Component, ControlPlaneMode, Spec};
use crate::ports::bootstrap::{ClusterObjects, EtcdFiles, Progress};

/// Keeps a version for later commands.
pub type RecordVersion<'a> = dyn Fn(&str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Sync + 'a;

pub struct UpgradeOptions<'a> {
    pub etcd_files: &'a dyn EtcdFiles,
    /// How long each component may take to become healthy.
    pub timeout: Duration,
    /// Only report what would be done.
    pub dry_run: bool,
    /// Upgrade although something is unhealthy; the rules of versions count all the same.
    pub ignore_health: bool,
    /// Keeps the version that the control plane has now, for later commands.
    pub record: &'a RecordVersion<'a>,
}

/// What runs in the cluster, and what an upgrade of it would do.
pub async fn observe_plan(ports: &Ports, spec: &Spec, objects: &dyn ClusterObjects) -> Result<UpgradePlan, Error> {
    let wanted = Wanted {
        version: spec.cluster.version.parse()?,
        images: spec.cluster.images.clone(),
        known: KUBERNETES_VERSION.parse()?,
        own_etcd: spec.cluster.external_etcd.is_none(),
    };
    Ok(derive_plan(observe_cluster(ports, spec, objects).await?, &wanted, &spec.node.name))
}

/// Upgrades this control plane, and makes its version that of the cluster. Returns how many steps were changed (or, in a
/// dry run, would be).
pub async fn upgrade_first(
    ports: &Ports,
    spec: &Spec,
    options: &UpgradeOptions<'_>,
    stop: impl Future<Output = ()>,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    if !is_control_plane(ports, spec)? {
        return Err(Error::UpgradesWorker);
    }
    upgrade_node(ports, spec, options, true, stop, progress).await
}

/// Upgrades this node to the version of its cluster, which is taken over into `spec`. Returns how many steps were changed
/// (or, in a dry run, would be).
pub async fn upgrade_to_cluster(
    ports: &Ports,
    spec: &mut Spec,
    options: &UpgradeOptions<'_>,
    stop: impl Future<Output = ()>,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    // With the node's own credentials: on a control plane whose API server is away they lead to another one.
    let own = spec.node.paths.kubeconfig("kubelet.conf");
    if ports.files.info(&own)?.is_none() {
        return Err(Error::NotJoined);
    }
    let objects = connect(ports, own).await?;
    adopt_settings(objects.as_ref(), &mut spec.cluster).await?;
    if is_control_plane(ports, spec)? {
        return upgrade_node(ports, spec, options, false, stop, progress).await;
    }
    let (kubelet, cluster): (Version, Version) = (KUBERNETES_VERSION.parse()?, spec.cluster.version.parse()?);
    if (kubelet.major, kubelet.minor) > (cluster.major, cluster.minor) {
        progress.step_says(&format!("warning: the kubelet here is {kubelet}, newer than the cluster's {cluster}"));
    }
    phases(UPGRADE_WORKER, ports, spec, options, None, progress).await
}

/// This control plane, in its turn; `first` makes its version that of the cluster.
async fn upgrade_node(
    ports: &Ports,
    spec: &Spec,
    options: &UpgradeOptions<'_>,
    first: bool,
    stop: impl Future<Output = ()>,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    if spec.cluster.mode != ControlPlaneMode::StaticPods {
        return Err(Error::OnlyStaticPods);
    }
    refuse_under_way(ports, Purpose::Settings)?;
    let objects = administrator(ports, spec).await?;
    match observe_plan(ports, spec, objects.as_ref()).await {
        Ok(plan) => check(&plan, &spec.node.name, options.ignore_health, progress)?,
        // Interrupted while nothing ran: what was begun was checked.
        Err(_) if is_under_way(ports, Purpose::Version)? => {
            progress.step_says("The API does not answer; continuing the upgrade that was started.");
        }
        Err(error) => return Err(error),
    }
    let turn = if options.dry_run { None } else { wait_for_turn(ports, spec, objects.clone(), progress).await? };
    let work = in_order(ports, spec, options, first, turn.clone(), objects.as_ref(), progress);
    let outcome = unless_stopped(stop, work).await;
    if let Some(turn) = turn {
        end_turn(turn.as_ref()).await;
    }
    outcome
}

/// Reports failed checks, and fails if one of them keeps this node from beginning.
fn check(plan: &UpgradePlan, node: &str, ignore_health: bool, progress: &dyn Progress) -> Result<(), Error> {
    let obstacles = plan.obstacles(node, ignore_health);
    for fault in &plan.faults {
        let word = if obstacles.contains(&fault) { "error" } else { "warning" };
        progress.step_says(&format!("{word}: {fault}"));
    }
    match obstacles.len() {
        0 => Ok(()),
        many => Err(Error::Checks(many)),
    }
}

/// The parts of a control plane: images, components, the cluster's settings (by the first node), the kubelet, and add-ons
/// with the last node.
async fn in_order(
    ports: &Ports,
    spec: &Spec,
    options: &UpgradeOptions<'_>,
    first: bool,
    turn: Option<Arc<dyn ClusterObjects>>,
    objects: &dyn ClusterObjects,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    let UpgradeOptions { etcd_files, timeout, dry_run, record, .. } = *options;
    let mut changed = phases(UPGRADE_IMAGES, ports, spec, options, None, progress).await?;
    let change = ControlPlaneChange { etcd_files, timeout, dry_run, purpose: Purpose::Version, turn };
    changed = changed.saturating_add(upgrade_control_plane(ports, spec, &change, progress).await?);
    if !dry_run {
        record(&spec.cluster.version).map_err(Error::Record)?;
    }
    if first {
        changed = changed.saturating_add(phases(UPGRADE_SETTINGS, ports, spec, options, None, progress).await?);
    }
    changed = changed.saturating_add(phases(UPGRADE_NODE, ports, spec, options, None, progress).await?);
    let cluster = observe_cluster(ports, spec, objects).await?;
    let behind = behind(&cluster, &spec.node.name, spec.cluster.version.parse()?);
    if behind.is_empty() {
        let replicas = cluster.coredns_replicas;
        changed = changed.saturating_add(phases(UPGRADE_ADDONS, ports, spec, options, replicas, progress).await?);
    } else {
        let nodes = behind.join(", ");
        progress
            .step_says(&format!("kube-proxy and CoreDNS are upgraded with the last control plane; remaining: {nodes}"));
    }
    Ok(changed)
}

/// The other nodes whose API server is older: kube-proxy may not be newer than any API server that it may ask.
fn behind<'a>(cluster: &'a ObservedCluster, own: &str, wanted: Version) -> Vec<&'a str> {
    let servers = cluster.everywhere(Component::ApiServer.name());
    let older = servers.filter(|(node, seen)| *node != own && seen.version.is_some_and(|version| version < wanted));
    older.map(|(node, _)| node).collect()
}

async fn phases(
    table: &[Phase],
    ports: &Ports,
    spec: &Spec,
    options: &UpgradeOptions<'_>,
    dns_replicas: Option<u64>,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    let options = RunOptions { dry_run: options.dry_run, ..RunOptions::default() };
    let with_replicas = |mut facts: Facts| {
        facts.dns_replicas = dns_replicas;
        facts
    };
    Ok(run(table, spec, ports, &options, &with_replicas, progress).await?)
}
