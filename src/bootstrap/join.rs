//! What a joining node asks the cluster before anything on the node is planned.

use std::sync::Arc;

use super::discovery;
use crate::core::bootstrap::Joining;
use crate::core::bootstrap::cluster_configuration::{self, ClusterConfigMaps};
use crate::core::bootstrap::discovery::CaPin;
use crate::core::bootstrap::token::Token;
use crate::core::model::Secret;
use crate::core::model::json::at;
use crate::core::model::spec::{ClusterSpec, Endpoint};
use crate::ports::{ClusterDiscovery, ClusterObjects, ClusterObjectsError, ContactError, ObjectRef};

/// Why the cluster cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No cluster to be trusted was found.
    #[error(transparent)]
    Discovery(#[from] discovery::Error),
    /// The API server could not be reached with what discovery found.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// It refused to show the cluster's settings.
    #[error(transparent)]
    Objects(#[from] ClusterObjectsError),
    /// It has no such settings.
    #[error("configmap kube-system/{0} does not exist: run `bootstrap init` on the first control plane to its end")]
    Missing(&'static str),
    /// They cannot be used.
    #[error(transparent)]
    Configuration(#[from] cluster_configuration::Error),
    /// The token is refused as a credential.
    #[error(
        "token {id} is not accepted: it has expired, or may sign but not authenticate; make a new one on a control-plane node with `bootstrap token create --print-join-command`"
    )]
    TokenRefused {
        /// The token's id.
        id: String,
    },
}

/// What the user gave.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Where an API server answers.
    pub endpoint: Endpoint,
    /// The bootstrap token.
    pub token: Token,
    /// Hashes of which one must be the CA's.
    pub pins: Vec<CaPin>,
}

/// Finds the cluster by its token and takes over its settings into `cluster`.
pub async fn discover_cluster(
    contact: &dyn ClusterDiscovery,
    request: &JoinRequest,
    cluster: &mut ClusterSpec,
) -> Result<(Joining, Arc<dyn ClusterObjects>), Error> {
    let endpoint = request.endpoint.to_string();
    let trusted = discovery::discover(contact, &endpoint, &request.token, &request.pins).await?;
    let token = request.token.reveal();
    let objects = contact.connect(&format!("https://{endpoint}"), &trusted.ca, Some(&token))?;
    // A kubeadm cluster need not name an endpoint; where it was found is then where it stays.
    cluster.endpoint = request.endpoint.clone();
    adopt_settings(objects.as_ref(), cluster).await.map_err(|error| match error {
        Error::Objects(ClusterObjectsError::Refused { code: 401, .. }) => {
            Error::TokenRefused { id: request.token.id().to_owned() }
        }
        error => error,
    })?;
    Ok((Joining { token: Some(Secret::new(token)), ca: trusted.ca }, objects))
}

/// Takes over the cluster's settings, read with whatever credentials `objects` has: a token's, or the node's own when
/// it joined before.
pub async fn adopt_settings(objects: &dyn ClusterObjects, cluster: &mut ClusterSpec) -> Result<(), Error> {
    let maps = ClusterConfigMaps {
        kubeadm: read(objects, "kubeadm-config", "ClusterConfiguration")
            .await?
            .ok_or(Error::Missing("kubeadm-config"))?,
        kubelet: read(objects, "kubelet-config", "kubelet").await?.ok_or(Error::Missing("kubelet-config"))?,
        // A cluster that kubeadm made has no such map, and no rule that would let us see that.
        roost: match read(objects, "roost-config", "cluster").await {
            Err(ClusterObjectsError::Refused { code: 403, .. }) => None,
            outcome => outcome?,
        },
    };
    Ok(cluster_configuration::adopt(cluster, &maps)?)
}

async fn read(objects: &dyn ClusterObjects, name: &str, key: &str) -> Result<Option<String>, ClusterObjectsError> {
    let map = objects.get(&ObjectRef::new("v1", "ConfigMap", Some("kube-system"), name)).await?;
    Ok(map.and_then(|map| at(&map, &["data", key]).as_str().map(str::to_owned)))
}
