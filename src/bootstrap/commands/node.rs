//! What a node is, and which of its settings stay as they are.

use crate::bootstrap::join::{self, adopt_settings};
use crate::bootstrap::kept;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::upgrade::{Purpose, is_under_way, keep_running};
use crate::bootstrap::{api, commands::error::Error};
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::FileError;

/// What a node is.
#[derive(Debug)]
pub struct NodeRole {
    /// The node is a control plane, as its disk shows.
    pub control_plane: bool,
    /// The node's cluster was created elsewhere: the first control plane says what the cluster is, and others follow.
    pub follows: bool,
    /// Whether the cluster's own settings were taken over.
    pub adopted: Adopted,
}

/// Whether the cluster's own settings were taken over.
#[derive(Debug)]
pub enum Adopted {
    /// The node's own settings count.
    NotAsked,
    /// The cluster's present settings count.
    Yes,
    /// They could not be read; the ones of the last run count.
    No(join::Error),
}

/// Finds out what the node is, and takes over the cluster's settings where it follows. With `cluster` the node's own
/// settings are those of the cluster.
///
/// # Errors
/// The machine is not a node.
pub async fn observe_role(ports: &Ports, spec: &mut Spec, cluster: bool) -> Result<NodeRole, Error> {
    let control_plane = is_control_plane(ports, spec)?;
    let own = spec.node.paths.kubeconfig("kubelet.conf");
    if !control_plane && ports.files.info(&own)?.is_none() {
        return Err(Error::NoNode);
    }
    let follows = kept::has_joined(ports.files.as_ref())? && !cluster;
    let adopted = if follows {
        let objects = api::connect(ports, own).await?;
        match adopt_settings(objects.as_ref(), &mut spec.cluster).await {
            Ok(()) => Adopted::Yes,
            Err(error) => Adopted::No(error),
        }
    } else {
        Adopted::NotAsked
    };
    Ok(NodeRole { control_plane, follows, adopted })
}

/// True if this node is a control plane, as its disk shows.
pub fn is_control_plane(ports: &Ports, spec: &Spec) -> Result<bool, FileError> {
    Ok(ports.files.info(&spec.node.paths.pki("apiserver.crt"))?.is_some())
}

/// Keeps the version that this node runs: only `upgrade` has the rules, the order and the way back. Returns the version
/// of the settings if it is another one.
pub fn stay_at_version(ports: &Ports, spec: &mut Spec) -> Result<Option<String>, FileError> {
    let configured = spec.cluster.version.clone();
    keep_running(ports, spec)?;
    Ok(Some(configured).filter(|configured| *configured != spec.cluster.version))
}

/// Fails while a change of this node's control plane for that purpose was interrupted: nothing else is begun then.
pub fn refuse_under_way(ports: &Ports, purpose: Purpose) -> Result<(), Error> {
    if is_under_way(ports, purpose)? { Err(Error::UnderWay(purpose)) } else { Ok(()) }
}
