//! `bootstrap join`: finds the cluster, runs the phases, and withdraws from etcd after a failure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::error::Error;
use super::turn::unless_stopped;
use crate::bootstrap::api::ConnectError;
use crate::bootstrap::etcd;
use crate::bootstrap::etcd::client::{ClientError, client, find, identity, manifest, unit_file};
use crate::bootstrap::join::{
    JoinRequest, adopt_settings, check_control_plane_token, claim_name, discover_cluster, has_joined,
};
use crate::bootstrap::kept;
use crate::bootstrap::pods::sandbox_of;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::run::{RunOptions, run};
use crate::core::bootstrap::discovery::CaPin;
use crate::core::bootstrap::token::Token;
use crate::core::bootstrap::workflow::{JOIN, JOIN_CONTROL_PLANE};
use crate::core::bootstrap::{Facts, Joining, membership, services};
use crate::core::model::spec::{Component, Endpoint, Spec};
use crate::core::model::with_causes;
use crate::ports::bootstrap::{ClusterDiscovery, FileError, NodeFiles, Progress, Reachability};
use crate::ports::node::Pki;

/// What the user gave to find the cluster with.
#[derive(Clone, Debug)]
pub struct ClusterRequest {
    /// Where an API server answers.
    pub server: Endpoint,
    /// The bootstrap token; `None` on a node that joined before.
    pub token: Option<Token>,
    /// Hashes of which each CA of the cluster must have one.
    pub pins: Vec<CaPin>,
    /// The machine becomes a control plane.
    pub control_plane: bool,
}

/// What it takes to look for a cluster, before the ports of a run are there.
pub struct Search<'a> {
    pub discovery: &'a dyn ClusterDiscovery,
    /// Connections with those of a kubeconfig.
    pub net: &'a dyn Reachability,
    /// Files of this machine.
    pub files: &'a dyn NodeFiles,
    pub pki: &'a dyn Pki,
}

/// Finds the cluster by the token, or by what this node has from an earlier join, and takes over its settings.
pub async fn find_cluster(search: &Search<'_>, request: &ClusterRequest, spec: &mut Spec) -> Result<Joining, Error> {
    let Search { discovery, net, files, pki } = search;
    if !request.control_plane && files.info(&spec.node.paths.pki("apiserver.crt"))?.is_some() {
        return Err(Error::IsControlPlane);
    }
    let own = spec.node.paths.kubeconfig("kubelet.conf");
    let node = &spec.node.name;
    if let Some(token) = &request.token {
        if request.pins.is_empty() {
            return Err(Error::NoPins);
        }
        let wanted = JoinRequest { endpoint: request.server.clone(), token: token.clone(), pins: request.pins.clone() };
        let (mut joining, objects) = discover_cluster(*discovery, &wanted, &mut spec.cluster).await?;
        if !has_joined(*files, *pki, &own, node, &joining.ca)? {
            joining.denied = claim_name(objects.as_ref(), node).await?;
        }
        // A control plane that has the keys already, from an earlier run or copied by hand, asks for none.
        if request.control_plane && files.info(&spec.node.paths.pki("sa.key"))?.is_none() {
            check_control_plane_token(objects.as_ref(), token).await?;
        }
        return Ok(joining);
    }
    if files.info(&own)?.is_none() {
        return Err(Error::NoToken);
    }
    let failed = |source| ConnectError::Connect { kubeconfig: own.clone(), source };
    let objects = net.connect(&own).await.map_err(failed)?;
    spec.cluster.endpoint = request.server.clone();
    adopt_settings(objects.as_ref(), &mut spec.cluster).await?;
    let ca = files.read(&spec.node.paths.pki("ca.crt"))?.unwrap_or_default();
    if !ca.is_empty() {
        has_joined(*files, *pki, &own, node, &ca)?;
    }
    Ok(Joining { token: None, ca, denied: BTreeSet::new() })
}

/// Keeps the settings for later commands. Before anything is done: an interrupted run continues with the same ones.
pub fn keep(files: &dyn NodeFiles, settings: &str, cluster: &str) -> Result<(), FileError> {
    kept::keep_settings(files, settings)?;
    kept::forget_version(files)?;
    kept::keep_joined(files, cluster)
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinOptions {
    /// The machine becomes a control plane.
    pub control_plane: bool,
    /// Only report what would be done.
    pub dry_run: bool,
    /// Run one phase alone.
    pub only: Option<String>,
}

/// Makes this machine a node of the cluster that was found. Returns how many steps were changed (or, in a dry run, would
/// be).
///
/// # Errors
/// After a failure or a signal this node's etcd, if it is still a learner, is removed from the cluster again.
pub async fn join(
    ports: &Ports,
    spec: &Spec,
    joining: &Joining,
    options: &JoinOptions,
    stop: impl Future<Output = ()>,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    let JoinOptions { control_plane, dry_run, only } = options.clone();
    let joins_etcd = control_plane && spec.cluster.external_etcd.is_none();
    let options = RunOptions { dry_run, only, joins_etcd, ..RunOptions::default() };
    let with_joining = |mut facts: Facts| {
        facts.joining = Some(joining.clone());
        facts
    };
    let phases = if control_plane { JOIN_CONTROL_PLANE } else { JOIN };
    let outcome = unless_stopped(stop, run(phases, spec, ports, &options, &with_joining, progress)).await;
    if outcome.is_err() && joins_etcd && !dry_run {
        match withdraw(ports, spec).await {
            Ok(true) => {
                progress.step_says("This node's etcd was still a learner and was removed from the cluster again.");
            }
            Ok(false) => {}
            Err(error) => progress.step_says(&format!(
                "This node's etcd may remain in the cluster as a learner ({}); on a control plane check `bootstrap etcd members` and remove {}.",
                with_causes(&error), spec.node.name
            )),
        }
    }
    outcome
}

/// How long a stopping etcd may take.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// After a join that failed: removes this node's learner from etcd with its manifest and data, since one that nobody
/// promotes would keep every other node from joining. A voting member stays. True if there was a learner.
pub async fn withdraw(ports: &Ports, spec: &Spec) -> Result<bool, etcd::Error> {
    if identity(ports, spec)?.is_none() || spec.cluster.external_etcd.is_some() {
        return Ok(false);
    }
    let peer_url = membership::peer_url(spec);
    let client = match client(ports, spec).await {
        Ok(client) => client,
        Err(ClientError::NoMembers { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let members = client.list().await?;
    let Some(own) = find(&members, &peer_url).filter(|own| own.learner) else { return Ok(false) };
    client.remove(own.id).await?;
    if ports.files.info(&unit_file(spec))?.is_some() {
        ports.units.stop(&services::unit(Component::Etcd)).await?;
        ports.units.disable(&services::unit(Component::Etcd)).await?;
        ports.files.remove(&unit_file(spec))?;
        ports.units.reload().await?;
    }
    ports.files.remove(&manifest(spec))?;
    let stopped = async {
        while matches!(sandbox_of(ports, Component::Etcd).await, Ok(Some(_))) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    // A kubelet that does not run stops nothing; the data of a removed member is of no use either way.
    let _ = tokio::time::timeout(STOP_PATIENCE, stopped).await;
    ports.files.empty_dir(&spec.node.paths.etcd_data)?;
    Ok(true)
}
