//! `bootstrap apply`: the phases of init and join on an existing node, with changed settings.

use super::api::administrator;
use super::etcd;
use super::kubelets::observe_kubelets;
use super::ports::Ports;
use super::run::{RunError, RunOptions, run};
use super::upgrade::{self, ControlPlaneChange, upgrade_control_plane};
use crate::core::bootstrap::workflow::{
    APPLY_CLUSTER, APPLY_FIRST, APPLY_LAST, APPLY_NODE, APPLY_WORKER, KUBELET_SERVING_CA,
};
use crate::core::bootstrap::{Facts, Phase};
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{FileError, ObjectRef, Progress};

/// Why a node does not match its settings.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Run(#[from] RunError),
    /// A component did not become healthy, or could not be changed.
    #[error(transparent)]
    ControlPlane(#[from] upgrade::Error),
    /// A file of the node could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Applies the settings of a worker. Returns how many steps were changed (or, in a dry run, would be).
pub async fn apply_worker(
    ports: &Ports,
    spec: &Spec,
    dry_run: bool,
    progress: &dyn Progress,
) -> Result<usize, ApplyError> {
    phases(APPLY_WORKER, ports, spec, dry_run, None, progress).await
}

/// Applies the settings of a control plane, one component after another; with `shared` also cluster-wide objects.
pub async fn apply_control_plane(
    ports: &Ports,
    spec: &Spec,
    change: &ControlPlaneChange<'_>,
    shared: bool,
    progress: &dyn Progress,
) -> Result<usize, ApplyError> {
    around_components(ports, spec, Some(change), change.dry_run, shared, progress).await
}

/// All phases of a node except its components, as a dry run.
pub async fn dry_run_phases(
    ports: &Ports,
    spec: &Spec,
    control_plane: bool,
    shared: bool,
    progress: &dyn Progress,
) -> Result<usize, ApplyError> {
    if !control_plane {
        return apply_worker(ports, spec, true, progress).await;
    }
    around_components(ports, spec, None, true, shared, progress).await
}

/// All phases of a control plane in order; its components only if there is a `change`.
async fn around_components(
    ports: &Ports,
    spec: &Spec,
    change: Option<&ControlPlaneChange<'_>>,
    dry_run: bool,
    shared: bool,
    progress: &dyn Progress,
) -> Result<usize, ApplyError> {
    let mut changed = phases(APPLY_FIRST, ports, spec, dry_run, None, progress).await?;
    if let Some(change) = change {
        changed = changed.saturating_add(upgrade_control_plane(ports, spec, change, progress).await?);
    }
    let rest = if dry_run { not_told() } else { APPLY_NODE.to_vec() };
    changed = changed.saturating_add(phases(&rest, ports, spec, dry_run, None, progress).await?);
    if shared {
        changed = changed.saturating_add(
            phases(APPLY_CLUSTER, ports, spec, dry_run, dns_replicas(ports, spec).await, progress).await?,
        );
    }
    Ok(changed.saturating_add(phases(APPLY_LAST, ports, spec, dry_run, None, progress).await?))
}

/// The phases of the second part of a dry run; the first part has already reported the others.
fn not_told() -> Vec<Phase> {
    let told = ["etcd-address", "certificates"];
    APPLY_NODE.iter().filter(|phase| !told.contains(&phase.id)).copied().collect()
}

/// CoreDNS's current number of replicas, which the user may have changed.
async fn dns_replicas(ports: &Ports, spec: &Spec) -> Option<u64> {
    let objects = administrator(ports, spec).await.ok()?;
    let coredns = ObjectRef::new("apps/v1", "Deployment", Some("kube-system"), "coredns");
    objects.get(&coredns).await.ok()??.pointer("/spec/replicas")?.as_u64()
}

async fn phases(
    table: &[Phase],
    ports: &Ports,
    spec: &Spec,
    dry_run: bool,
    dns_replicas: Option<u64>,
    progress: &dyn Progress,
) -> Result<usize, ApplyError> {
    // A member that joined others keeps the flags that it joined with.
    let joins_etcd = etcd::has_joined(ports, spec)?;
    let options = RunOptions { dry_run, joins_etcd, ..RunOptions::default() };
    let kubelets = if table.iter().any(|phase| phase.id == KUBELET_SERVING_CA.id) {
        observe_kubelets(ports, spec).await
    } else {
        None
    };
    let with_replicas = |mut facts: Facts| {
        facts.dns_replicas = dns_replicas;
        facts.kubelets.clone_from(&kubelets);
        facts
    };
    Ok(run(table, spec, ports, &options, &with_replicas, progress).await?)
}
