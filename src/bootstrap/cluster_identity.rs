//! Which cluster this node belongs to, for what outlives a cluster: snapshots and the results of drills.

use std::time::Duration;

use super::api::administrator;
use super::ports::Ports;
use super::read_text::read_text;
use crate::core::bootstrap::snapshots::{ClusterIdentity, Origins, origins_file};
use crate::core::model::json::at;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{FileError, ObjectRef};

/// How long the API may take to say which cluster it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// The cluster of this control plane, as the API and the CA on disk say.
///
/// # Errors
/// The CA cannot be read.
pub async fn identify(ports: &Ports, spec: &Spec) -> Result<ClusterIdentity, FileError> {
    let ca = read_text(ports.files.as_ref(), &spec.node.paths.pki("ca.crt"))?;
    let since = ca.and_then(|ca| ports.pki.inspect(&ca, None, None).ok()).map(|seen| seen.not_before);
    let ask = async {
        let objects = administrator(ports, spec).await.ok()?;
        let namespace = objects.get(&ObjectRef::new("v1", "Namespace", None, "kube-system")).await.ok()??;
        at(&namespace, &["metadata", "uid"]).as_str().map(str::to_owned)
    };
    let id = tokio::time::timeout(PATIENCE, ask).await.ok().flatten();
    Ok(ClusterIdentity { id, since })
}

/// The clusters of this node's snapshots, as recorded beside them.
///
/// # Errors
/// The file cannot be read.
pub fn read_origins(ports: &Ports, spec: &Spec) -> Result<Origins, FileError> {
    Ok(Origins::parse(read_text(ports.files.as_ref(), &origins_file(spec))?.as_deref()))
}
