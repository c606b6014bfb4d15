//! Connections to etcd, and what this node knows of its members.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::membership::{self, Member, initial_cluster, joined_members};
use crate::core::bootstrap::phases::kubelet_join::BOOTSTRAP_CONF;
use crate::core::bootstrap::services;
use crate::core::model::Secret;
use crate::core::model::spec::{Component, Endpoint, Spec};
use crate::ports::bootstrap::{EtcdIdentity, FileError, Members, ObjectRef};

/// How long one API server may take to return the addresses of the others.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection to etcd.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file of this node could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No member is known, or this node has no certificate for etcd.
    #[error("no etcd member is known: the API server reports none, and {manifest} names none")]
    NoMembers {
        /// etcd's manifest on this node.
        manifest: PathBuf,
    },
}

/// etcd's manifest on this node.
pub fn manifest(spec: &Spec) -> PathBuf {
    spec.node.paths.manifest(Component::Etcd)
}

/// The text with etcd's flags on this node: of a unit or a manifest.
pub fn definition(ports: &Ports, spec: &Spec) -> Result<Option<String>, FileError> {
    match ports.files.read(&unit_file(spec))? {
        Some(unit) => Ok(Some(unit)),
        None => Ok(ports.files.read(&manifest(spec))?),
    }
}

/// True when this node's etcd was added to others.
pub fn has_joined(ports: &Ports, spec: &Spec) -> Result<bool, FileError> {
    Ok(definition(ports, spec)?.as_deref().and_then(joined_members).is_some())
}

/// etcd's unit on this node, where it runs as a service.
pub fn unit_file(spec: &Spec) -> PathBuf {
    spec.node.paths.units.join(services::unit(Component::Etcd))
}

/// True when this node has what a member has.
pub fn may_be_one(ports: &Ports, spec: &Spec) -> Result<bool, FileError> {
    Ok(definition(ports, spec)?.is_some() && identity(ports, spec)?.is_some())
}

/// The certificates with which this node asks etcd; `None` while one of the files does not exist.
pub fn identity(ports: &Ports, spec: &Spec) -> Result<Option<EtcdIdentity>, FileError> {
    let own = |name: &str| spec.node.paths.pki(name);
    let [ca, certificate, key] = match &spec.cluster.external_etcd {
        Some(etcd) => [etcd.ca.clone(), etcd.certificate.clone(), etcd.key.clone()],
        None => [own("etcd/ca.crt"), own("etcd/healthcheck-client.crt"), own("etcd/healthcheck-client.key")],
    }
    .map(|path| ports.files.read(&path));
    let [ca, certificate, key] = [ca?, certificate?, key?];
    let (Some(ca), Some(certificate), Some(key)) = (ca, certificate, key) else { return Ok(None) };
    Ok(Some(EtcdIdentity { ca, certificate, key: Secret::new(key) }))
}

/// A client of the members, this node's own one last: while it is a learner it does not report the others. That one
/// answers at the loopback even where its address is another one now.
pub async fn client(ports: &Ports, spec: &Spec) -> Result<Arc<dyn Members>, ClientError> {
    let mut endpoints = endpoints(ports, spec).await?;
    if spec.cluster.external_etcd.is_none() && definition(ports, spec)?.is_some() {
        let loopback = if spec.node.address.is_ipv4() { "127.0.0.1" } else { "::1" };
        endpoints.push(client_url(loopback));
    }
    Ok(ports.etcd.connect(endpoints, known_identity(ports, spec)?))
}

/// A client of the member at one URL.
pub fn single(ports: &Ports, spec: &Spec, endpoint: &str) -> Result<Arc<dyn Members>, ClientError> {
    Ok(ports.etcd.connect(vec![endpoint.to_owned()], known_identity(ports, spec)?))
}

fn known_identity(ports: &Ports, spec: &Spec) -> Result<EtcdIdentity, ClientError> {
    identity(ports, spec)?.ok_or_else(|| ClientError::NoMembers { manifest: manifest(spec) })
}

/// Client URLs of the members that this node knows of.
pub async fn endpoints(ports: &Ports, spec: &Spec) -> Result<Vec<String>, ClientError> {
    if let Some(etcd) = &spec.cluster.external_etcd {
        return Ok(etcd.endpoints.clone());
    }
    let own = Endpoint::new(spec.node.address, 2379).url();
    let mut endpoints: Vec<String> = api_servers(ports, spec).await.iter().map(|address| client_url(address)).collect();
    let text = definition(ports, spec)?;
    let joined = text.as_deref().and_then(joined_members).unwrap_or_default();
    endpoints.extend(joined.iter().filter_map(|(_, peer)| Some(format!("{}:2379", peer.strip_suffix(":2380")?))));
    let mut seen = BTreeSet::from([own.clone()]);
    endpoints.retain(|endpoint| seen.insert(endpoint.clone()));
    if text.is_some() {
        endpoints.push(own);
    }
    if endpoints.is_empty() {
        return Err(ClientError::NoMembers { manifest: manifest(spec) });
    }
    Ok(endpoints)
}

fn client_url(address: &str) -> String {
    Endpoint::new(address, 2379).url()
}

/// Addresses of the API servers, beside each of which there is a member; none when no API server answers.
async fn api_servers(ports: &Ports, spec: &Spec) -> Vec<String> {
    let slice = ObjectRef::new("discovery.k8s.io/v1", "EndpointSlice", Some("default"), "kubernetes");
    // Whatever this node has so far; the administrator's may lead to its own API server, which may not run.
    for name in [BOOTSTRAP_CONF, "kubelet.conf", "admin.conf"] {
        let path = spec.node.paths.kubeconfig(name);
        if !matches!(ports.files.info(&path), Ok(Some(_))) {
            continue;
        }
        let Ok(objects) = ports.net.connect(&path).await else { continue };
        match tokio::time::timeout(ASK_TIMEOUT, objects.get(&slice)).await {
            Ok(Ok(Some(slice))) => return addresses(&slice),
            outcome => tracing::debug!(kubeconfig = %path.display(), ?outcome, "no API server lists the other members"),
        }
    }
    Vec::new()
}

fn addresses(slice: &Value) -> Vec<String> {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let addresses = endpoints.flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten());
    addresses.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Name and peer URL of the members, for the manifest; none while this node is not among them.
pub async fn observe(ports: &Ports, spec: &Spec) -> Result<Vec<(String, String)>, ClientError> {
    let own = membership::peer_url(spec);
    let joined = definition(ports, spec)?.as_deref().and_then(joined_members).unwrap_or_default();
    let has_data = !ports.files.list(&spec.node.paths.etcd_data)?.is_empty();
    if has_data && joined.iter().any(|(_, url)| *url == own) {
        return Ok(joined);
    }
    if identity(ports, spec)?.is_none() {
        return Ok(Vec::new());
    }
    let members = match client(ports, spec).await {
        Ok(client) => client.list().await,
        Err(ClientError::NoMembers { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(match members {
        Ok(members) if find(&members, &own).is_some() => initial_cluster(&members, &spec.node.name, &own),
        Ok(_) => Vec::new(),
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "etcd does not answer");
            Vec::new()
        }
    })
}

/// The member that has this peer URL.
pub fn find<'a>(members: &'a [Member], peer_url: &str) -> Option<&'a Member> {
    members.iter().find(|member| member.peer_urls.iter().any(|url| url == peer_url))
}
