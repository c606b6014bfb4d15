//! Bootstrap tokens of a running cluster: create, list, delete, and print the join command.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use crate::core::bootstrap::discovery::{self, CaPin, parse_cluster};
use crate::core::bootstrap::objects::{ObservedToken, parse_token_secret, render_token_secret};
use crate::core::bootstrap::token::Token;
use crate::core::model::json::at;
use crate::ports::bootstrap::{ClusterObjects, ClusterObjectsError, ObjectRef};

/// Why a token command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused the request or could not be reached.
    #[error(transparent)]
    Objects(#[from] ClusterObjectsError),
    /// A token with that id already exists.
    #[error("token {0} already exists")]
    Exists(String),
    /// No token has that id.
    #[error("token {0} does not exist")]
    Absent(String),
    /// The cluster has no `cluster-info`.
    #[error("configmap kube-public/cluster-info does not exist: run `bootstrap init` until it succeeds first")]
    NoClusterInfo,
    /// `cluster-info` cannot be parsed.
    #[error(transparent)]
    ClusterInfo(#[from] discovery::Error),
}

const NAMESPACE: Option<&str> = Some("kube-system");

/// Creates the Secret of a new token, for joining nodes or also for joining control planes.
pub async fn create(
    objects: &dyn ClusterObjects,
    token: &Token,
    expires: Option<Timestamp>,
    description: Option<&str>,
    control_plane: bool,
) -> Result<(), Error> {
    match objects.create(&render_token_secret(token, expires, description, control_plane)).await {
        Err(ClusterObjectsError::Refused { code: 409, .. }) => Err(Error::Exists(token.id().to_owned())),
        outcome => Ok(outcome?),
    }
}

fn secret_of(id: &str) -> ObjectRef {
    ObjectRef::new("v1", "Secret", NAMESPACE, &format!("bootstrap-token-{id}"))
}

/// True if a token with this id exists.
pub async fn is_there(objects: &dyn ClusterObjects, id: &str) -> Result<bool, Error> {
    Ok(objects.get(&secret_of(id)).await?.is_some())
}

/// All tokens, by id.
pub async fn list(objects: &dyn ClusterObjects) -> Result<Vec<ObservedToken>, Error> {
    let kind = ObjectRef::new("v1", "Secret", NAMESPACE, "");
    let secrets = objects.list(&kind, "type=bootstrap.kubernetes.io/token").await?;
    let mut tokens: Vec<ObservedToken> =
        secrets.iter().filter_map(|secret| parse_token_secret(&decode(secret))).collect();
    tokens.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(tokens)
}

fn decode(secret: &Value) -> BTreeMap<String, Vec<u8>> {
    let fields = secret["data"].as_object().into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), STANDARD.decode(value.as_str()?).ok()?))).collect()
}

/// Deletes the token with this id.
pub async fn delete(objects: &dyn ClusterObjects, id: &str) -> Result<(), Error> {
    if objects.delete(&secret_of(id)).await? { Ok(()) } else { Err(Error::Absent(id.to_owned())) }
}

/// The command line that joins a node (or a control plane), made from `cluster-info`.
pub async fn join_command(objects: &dyn ClusterObjects, token: &Token, control_plane: bool) -> Result<String, Error> {
    let map = objects.get(&ObjectRef::new("v1", "ConfigMap", Some("kube-public"), "cluster-info")).await?;
    let map = map.ok_or(Error::NoClusterInfo)?;
    let (server, ca) = parse_cluster(at(&map, &["data", "kubeconfig"]).as_str().unwrap_or_default())?;
    let pins = CaPin::of_pem(ca.as_bytes())?;
    let hashes: String = pins.iter().map(|pin| format!(" --ca-hash {pin}")).collect();
    let endpoint = server.trim_start_matches("https://");
    let role = if control_plane { " --control-plane" } else { "" };
    Ok(format!("bootstrap join {endpoint} --token {}{hashes}{role}", token.reveal()))
}
