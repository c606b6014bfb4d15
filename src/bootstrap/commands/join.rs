//! `bootstrap join`.

use std::time::Duration;

use crate::bootstrap::etcd;
use crate::bootstrap::etcd::client::{ClientError, client, find, identity, manifest, unit_file};
use crate::bootstrap::pods::sandbox_of;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::static_pods::ETCD;
use crate::core::bootstrap::{membership, services};
use crate::core::model::spec::Spec;

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
        ports.units.stop(&services::unit(ETCD)).await?;
        ports.units.disable(&services::unit(ETCD)).await?;
        ports.files.remove(&unit_file(spec))?;
        ports.units.reload().await?;
    }
    ports.files.remove(&manifest(spec))?;
    let stopped = async {
        while matches!(sandbox_of(ports, ETCD).await, Ok(Some(_))) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    // A kubelet that does not run stops nothing; the data of a removed member is of no use either way.
    let _ = tokio::time::timeout(STOP_PATIENCE, stopped).await;
    ports.files.empty_dir(&spec.node.paths.etcd_data)?;
    Ok(true)
}
