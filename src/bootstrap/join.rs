//! What a joining node reads from the cluster before anything on the node is planned.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::discovery;
use crate::core::bootstrap::Joining;
use crate::core::bootstrap::arguments::find_refused;
use crate::core::bootstrap::cluster_configuration::{self, ClusterConfigMaps};
use crate::core::bootstrap::discovery::CaPin;
use crate::core::bootstrap::key_handover::TOKEN_GROUP;
use crate::core::bootstrap::kubeconfig;
use crate::core::bootstrap::kubelet_requests::{CLIENT_SIGNER, denials};
use crate::core::bootstrap::rotation::{ids, split};
use crate::core::bootstrap::token::Token;
use crate::core::model::json::at;
use crate::core::model::spec::{ClusterSpec, Endpoint};
use crate::core::model::{Release, Secret};
use crate::ports::bootstrap::{
    ClusterDiscovery, ClusterObjects, ClusterObjectsError, ContactError, FileError, NodeFiles, ObjectRef,
};
use crate::ports::node::Pki;

/// Why the cluster cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Discovery found no trusted cluster.
    #[error(transparent)]
    Discovery(#[from] discovery::Error),
    /// The API server that discovery found could not be reached.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// The API server refused to return the cluster's settings.
    #[error(transparent)]
    Objects(#[from] ClusterObjectsError),
    /// A Node of this name already exists.
    #[error(
        "node {0} already exists, and a bootstrap token cannot replace it: if that machine is gone or was reset, run `kubectl delete node {0}`, then join again"
    )]
    NodeExists(String),
    /// The kubelet's credentials on the machine belong to another node or cluster.
    #[error(
        "{path} does not belong to node {node} of this cluster: this machine was a node of another cluster or had another name; run `bootstrap reset` first"
    )]
    OtherNode {
        path: PathBuf,
        /// The name that was to join.
        node: String,
    },
    /// A file of the node could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The ConfigMap with the cluster's settings does not exist.
    #[error(
        "configmap kube-system/{0} does not exist: run `bootstrap init` on the first control plane until it succeeds"
    )]
    Missing(&'static str),
    /// The cluster has a version that this program does not support.
    #[error("the cluster has version {version}; this release of Roost supports {}", Release::range())]
    Unsupported {
        /// The version in `kubeadm-config`.
        version: String,
    },
    /// A component of the cluster's version would not start with the flags of this node's settings.
    #[error("[args] of this node's settings: {0}")]
    Arguments(String),
    /// The cluster's settings cannot be used.
    #[error(transparent)]
    Configuration(#[from] cluster_configuration::Error),
    /// The token gives no control plane the keys that it needs.
    #[error(
        "token {id} gives no keys to a control plane: it is a token for workers, or another control plane has used it; create a new one on a control-plane node with `bootstrap token create --control-plane --print-join-command`"
    )]
    NoControlPlaneToken {
        /// The token's public id.
        id: String,
    },
    /// The API server does not accept the token as a credential.
    #[error(
        "token {id} is not accepted: it has expired or is not valid for authentication; create a new one on a control-plane node with `bootstrap token create --print-join-command`"
    )]
    TokenRefused {
        /// The token's public id.
        id: String,
    },
}

#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Address of an API server.
    pub endpoint: Endpoint,
    pub token: Token,
    /// Hashes of the cluster's CAs; each CA must match one.
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
    // A kubeadm cluster need not name an endpoint; then the address that the user gave is kept.
    cluster.endpoint = request.endpoint.clone();
    adopt_settings(objects.as_ref(), cluster).await.map_err(|error| match error {
        Error::Objects(ClusterObjectsError::Refused { code: 401, .. }) => {
            Error::TokenRefused { id: request.token.id().to_owned() }
        }
        error => error,
    })?;
    Ok((Joining { token: Some(Secret::new(token)), ca: trusted.ca, denied: BTreeSet::new() }, objects))
}

/// True if this machine is already that node of that cluster, so that the join only continues: the kubelet's
/// certificate has the node's name, and the kubelet trusts one of the cluster's CAs or was signed by one.
///
/// # Errors
/// The certificate belongs to another node; a join would not replace it.
pub fn has_joined(
    files: &dyn NodeFiles,
    pki: &dyn Pki,
    kubeconfig: &Path,
    node: &str,
    ca: &str,
) -> Result<bool, Error> {
    let Some(seen) = files.read(kubeconfig)?.as_deref().and_then(kubeconfig::parse) else { return Ok(false) };
    let certificate = match (seen.client_certificate, seen.client_certificate_path) {
        (Some(embedded), _) => Some(embedded),
        (None, Some(path)) => files.read(&path)?,
        (None, None) => None,
    };
    // Without a certificate the kubelet requests one, as on a machine that never joined.
    let Some(certificate) = certificate else { return Ok(false) };
    let known = ids(ca);
    let same_cluster = seen.ca.is_some_and(|trusted| ids(&trusted).iter().any(|id| known.contains(id)));
    let signed_here = |authority: &String| {
        pki.inspect(&certificate, None, Some(authority)).is_ok_and(|seen| seen.signed == Some(true))
    };
    let name = pki.inspect(&certificate, None, None).map(|seen| seen.subject.common_name).unwrap_or_default();
    match name == format!("system:node:{node}") && (same_cluster || split(ca).iter().any(signed_here)) {
        true => Ok(true),
        false => Err(Error::OtherNode { path: kubeconfig.to_owned(), node: node.to_owned() }),
    }
}

/// Fails if a Node of this name exists, before anything is changed. Returns the certificate requests of this name that
/// were denied so far.
pub async fn claim_name(objects: &dyn ClusterObjects, node: &str) -> Result<BTreeSet<String>, Error> {
    match objects.get(&ObjectRef::new("v1", "Node", None, node)).await {
        Ok(Some(_)) => return Err(Error::NodeExists(node.to_owned())),
        // Without permission to read Nodes, the answer to the kubelet's certificate request reports it.
        Ok(None) | Err(ClusterObjectsError::Refused { code: 403, .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let requests = ObjectRef::new("certificates.k8s.io/v1", "CertificateSigningRequest", None, "");
    let requests = objects.list(&requests, &format!("spec.signerName={CLIENT_SIGNER}")).await.unwrap_or_default();
    Ok(denials(node, &requests).into_iter().map(|(uid, _)| uid).collect())
}

/// Fails if a control plane would wait for keys that nobody gives it: the token is not in the group of tokens for
/// control planes. Nothing is known where the API server does not tell the groups.
pub async fn check_control_plane_token(objects: &dyn ClusterObjects, token: &Token) -> Result<(), Error> {
    match objects.own_groups().await {
        Ok(groups) if !groups.iter().any(|group| group == TOKEN_GROUP) => {
            Err(Error::NoControlPlaneToken { id: token.id().to_owned() })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Takes over the cluster's settings, read with the credentials of `objects`: a token, or the node's own if it joined
/// before.
pub async fn adopt_settings(objects: &dyn ClusterObjects, cluster: &mut ClusterSpec) -> Result<(), Error> {
    let maps = ClusterConfigMaps {
        kubeadm: read(objects, "kubeadm-config", "ClusterConfiguration")
            .await?
            .ok_or(Error::Missing("kubeadm-config"))?,
        kubelet: read(objects, "kubelet-config", "kubelet").await?.ok_or(Error::Missing("kubelet-config"))?,
        // A cluster that kubeadm made has no such map, and no RBAC rule that would let a token read it.
        roost: match read(objects, "roost-config", "cluster").await {
            Err(ClusterObjectsError::Refused { code: 403, .. }) => None,
            outcome => outcome?,
        },
    };
    let own = cluster.kubelet.clone();
    cluster_configuration::adopt(cluster, &maps)?;
    let release = cluster.version.parse().ok().and_then(Release::of);
    let release = release.ok_or_else(|| Error::Unsupported { version: cluster.version.clone() })?;
    let refused = find_refused(release, &cluster.extra_args);
    if !refused.is_empty() {
        return Err(Error::Arguments(refused.join("; ")));
    }
    for field in cluster_configuration::find_overruled(&own, &cluster.kubelet) {
        tracing::warn!(
            "kubelet.{field}: the value of the cluster applies, not the one of this node's settings; put settings of a single node in [node.kubelet]"
        );
    }
    Ok(())
}

async fn read(objects: &dyn ClusterObjects, name: &str, key: &str) -> Result<Option<String>, ClusterObjectsError> {
    let map = objects.get(&ObjectRef::new("v1", "ConfigMap", Some("kube-system"), name)).await?;
    Ok(map.and_then(|map| at(&map, &["data", key]).as_str().map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use jiff::Timestamp;

    use super::*;
    use crate::adapters::x509::X509;
    use crate::core::bootstrap::kubeconfig::{KubeconfigParts, render};
    use crate::core::model::pki::{Authority, KeyPairFiles, Leaf, Subject, Usage};
    use crate::fakes::node::FakeNode;
    use crate::ports::node::KeyPairPem;

    fn authority() -> KeyPairPem {
        let files = KeyPairFiles::named(Path::new("/pki"), "ca");
        let wanted = Authority { files, common_name: "kubernetes".into(), life: Duration::from_secs(3600) };
        X509.make_authority(&wanted, Timestamp::now()).unwrap()
    }

    /// A machine whose kubelet is that node of the cluster with this CA.
    fn node_of(cluster: &KeyPairPem, name: &str) -> Arc<FakeNode> {
        let leaf = Leaf {
            signer: KeyPairFiles::named(Path::new("/pki"), "ca"),
            subject: Subject::named(format!("system:node:{name}")),
            usage: Usage::Client,
            sans: Default::default(),
            life: Duration::from_secs(600),
        };
        let pair = X509.issue(&leaf, &cluster.public, cluster.key.reveal(), Timestamp::now()).unwrap();
        let config = render(&KubeconfigParts {
            cluster: "kubernetes",
            server: "https://10.0.0.1:6443",
            user: "default",
            ca: &STANDARD.encode(&cluster.public),
            client_certificate: &STANDARD.encode(&pair.public),
            client_key: &STANDARD.encode(pair.key.reveal()),
        });
        let node = FakeNode::new();
        node.write(Path::new("/kubelet.conf"), config.as_bytes(), 0o600).unwrap();
        node
    }

    #[test]
    fn only_the_node_itself_goes_on_under_its_name() {
        let (ours, other) = (authority(), authority());
        let both = format!("{}{}", other.public, ours.public);
        let joined = |machine: &FakeNode| has_joined(machine, &X509, Path::new("/kubelet.conf"), "n1", &both);
        assert!(joined(&node_of(&ours, "n1")).unwrap());
        for stranger in [node_of(&authority(), "n1"), node_of(&ours, "n2")] {
            let error = joined(&stranger).unwrap_err().to_string();
            assert!(
                error.contains("/kubelet.conf does not belong to node n1") && error.contains("bootstrap reset"),
                "{error}"
            );
        }
        // A machine that never joined, and one that lost its certificate: their name is looked up in the cluster.
        let fresh = FakeNode::new();
        assert!(!joined(&fresh).unwrap());
        let rotates = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
            clusters: [{name: k, cluster: {server: 'https://10.0.0.1:6443'}}]\n\
            users: [{name: u, user: {client-certificate: /gone.pem, client-key: /gone.pem}}]\n";
        fresh.write(Path::new("/kubelet.conf"), rotates.as_bytes(), 0o600).unwrap();
        assert!(!joined(&fresh).unwrap());
    }
}
