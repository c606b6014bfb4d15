//! Keeps a node's trusted CAs up to date during a CA rotation: a worker copies the published bundle, and every node
//! reports which CAs its kubelet trusts and was signed by.
//!
//! The bundle is read over a connection that the current CAs authenticate. On control planes `bootstrap certs
//! rotate-ca` manages the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::core::bootstrap::discovery::parse_cluster;
use crate::core::bootstrap::kubeconfig::{ObservedKubeconfig, parse, point};
use crate::core::bootstrap::objects::KUBELET_AUTHORITY;
use crate::core::bootstrap::rotation::{KUBELET_ANNOTATION, KubeletTrust, ids, join, split};
use crate::core::model::json::at;
use crate::core::model::with_causes;
use crate::ports::bootstrap::{ClusterObjects, ClusterObjectsError, FileError, NodeFiles, ObjectRef, Reachability};
use crate::ports::node::Pki;

/// How often the bundle is checked; a rotation takes days.
const LOOK: Duration = Duration::from_secs(60);
/// Reported if a certificate's signer is not trusted.
const UNKNOWN: &str = "unknown";

/// Settings of this task.
#[derive(Clone, Debug)]
pub struct AuthoritiesSettings {
    /// Name of this node.
    pub node_name: String,
    /// Path of the kubelet's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Path of the CAs that sign the kubelet's clients.
    pub client_ca: PathBuf,
    /// Path of the kubelet's serving certificate.
    pub serving: PathBuf,
    /// True on workers: take over the published bundle.
    pub follows: bool,
}

/// Ports of this task.
#[derive(Clone)]
pub struct AuthoritiesPorts {
    /// Files of the node.
    pub files: Arc<dyn NodeFiles>,
    pub pki: Arc<dyn Pki>,
    /// Connects to the API.
    pub net: Arc<dyn Reachability>,
}

/// Why one check failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Objects(#[from] ClusterObjectsError),
    #[error("connect with the kubelet's kubeconfig")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the CA bundle that the cluster publishes is not accepted: {0}")]
    Unusable(String),
}

/// A connection, and the credentials that it was made with.
type Connection = (Vec<String>, Arc<dyn ClusterObjects>);

pub async fn run_authorities(settings: AuthoritiesSettings, ports: AuthoritiesPorts) {
    let mut connection = None;
    loop {
        match look(&settings, &ports, &mut connection).await {
            // Check again with the files just written.
            Ok(true) => continue,
            Ok(false) => {}
            Err(error @ (Error::Unusable(_) | Error::File(_))) => {
                tracing::warn!(error = with_causes(&error), "cannot follow the CA rotation of the cluster");
            }
            Err(error) => {
                connection = None;
                tracing::debug!(error = with_causes(&error), "the CA bundle of the cluster cannot be read");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Checks once; true if files were updated.
async fn look(
    settings: &AuthoritiesSettings,
    ports: &AuthoritiesPorts,
    connection: &mut Option<Connection>,
) -> Result<bool, Error> {
    // Before the kubelet has its own kubeconfig there is nothing to report.
    let Some(text) = ports.files.read(&settings.kubeconfig)? else { return Ok(false) };
    let Some(seen) = parse(&text) else { return Ok(false) };
    let client = client_certificate(ports, &seen)?.unwrap_or_default();
    let credentials = vec![text.clone(), client.clone()];
    if connection.as_ref().is_none_or(|(of, _)| *of != credentials) {
        let objects = ports.net.connect(&settings.kubeconfig).await.map_err(Error::Connect)?;
        *connection = Some((credentials, objects));
    }
    let Some((_, objects)) = connection else { return Ok(false) };
    let client_ca = ports.files.read(&settings.client_ca)?;
    let trusted = seen.ca.clone().or_else(|| client_ca.clone()).unwrap_or_default();
    if settings.follows
        && let Some(published) = published(objects.as_ref()).await?
        && (join([published.as_str()]) != join([trusted.as_str()]) || client_ca.as_deref() != Some(&published))
    {
        check(ports.pki.as_ref(), &published, &trusted)?;
        let pointed = point(&text, &seen.server, &published);
        let pointed = pointed.ok_or_else(|| Error::Unusable("the kubelet's kubeconfig cannot be read".to_owned()))?;
        // The kubelet rereads both files by itself.
        ports.files.write(&settings.client_ca, published.as_bytes(), 0o644)?;
        ports.files.write(&settings.kubeconfig, pointed.as_bytes(), 0o600)?;
        tracing::info!(authorities = ?ids(&published), "updated the CA bundle of this node");
        return Ok(true);
    }
    let serving = ports.files.read(&settings.serving)?;
    let of_kubelets = objects.get(&ObjectRef::new("v1", "ConfigMap", Some("kube-system"), KUBELET_AUTHORITY)).await;
    // Clusters older than this version have none, and no RBAC rule that lets nodes read it.
    let of_kubelets =
        of_kubelets.ok().flatten().and_then(|map| at(&map, &["data", "ca.crt"]).as_str().map(str::to_owned));
    let all = join([of_kubelets.as_deref().unwrap_or_default(), &trusted]);
    let signer = |pem: &str, of: &str| signer_of(ports.pki.as_ref(), pem, of);
    let trust = KubeletTrust {
        trusts: ids(&trusted),
        client: (!client.is_empty()).then(|| signer(&client, &trusted)),
        serving: serving.as_deref().map(|pem| signer(pem, &all)),
    };
    tell(objects.as_ref(), &settings.node_name, &trust).await?;
    Ok(false)
}

fn client_certificate(ports: &AuthoritiesPorts, seen: &ObservedKubeconfig) -> Result<Option<String>, FileError> {
    match (&seen.client_certificate, &seen.client_certificate_path) {
        (Some(embedded), _) => Ok(Some(embedded.clone())),
        (None, Some(path)) => ports.files.read(path),
        (None, None) => Ok(None),
    }
}

/// The CAs that the cluster publishes; `None` if it publishes none.
async fn published(objects: &dyn ClusterObjects) -> Result<Option<String>, Error> {
    let info = objects.get(&ObjectRef::new("v1", "ConfigMap", Some("kube-public"), "cluster-info")).await?;
    let kubeconfig = info.as_ref().and_then(|info| at(info, &["data", "kubeconfig"]).as_str());
    let Some(kubeconfig) = kubeconfig else { return Ok(None) };
    let (_, ca) = parse_cluster(kubeconfig).map_err(|error| Error::Unusable(with_causes(&error)))?;
    Ok(Some(ca))
}

/// A broken bundle must not cut the node off from its cluster: new CAs are accepted only together with known ones.
fn check(pki: &dyn Pki, published: &str, trusted: &str) -> Result<(), Error> {
    let unusable = |what: &str| Err(Error::Unusable(what.to_owned()));
    let known = ids(trusted);
    if !ids(published).iter().any(|id| known.contains(id)) {
        return unusable("it contains none of the CAs that this node trusts");
    }
    let is_authority = |cert: &String| pki.inspect(cert, None, None).is_ok_and(|seen| seen.is_ca);
    if split(published).iter().all(is_authority) {
        Ok(())
    } else {
        unusable("it contains certificates that are not CAs")
    }
}

/// Identifies which of these CAs signed a certificate.
fn signer_of(pki: &dyn Pki, pem: &str, trusted: &str) -> String {
    let signed =
        |authority: &String| pki.inspect(pem, None, Some(authority)).is_ok_and(|seen| seen.signed == Some(true));
    let signer = split(trusted).into_iter().find(signed);
    signer.and_then(|signer| ids(&signer).into_iter().next()).unwrap_or_else(|| UNKNOWN.to_owned())
}

async fn tell(objects: &dyn ClusterObjects, node: &str, trust: &KubeletTrust) -> Result<(), ClusterObjectsError> {
    let own = ObjectRef::new("v1", "Node", None, node);
    let Some(seen) = objects.get(&own).await? else { return Ok(()) };
    if KubeletTrust::of(&seen).as_ref() == Some(trust) {
        return Ok(());
    }
    let text = serde_json::to_string(trust).unwrap_or_default();
    objects.merge_patch(&own, &json!({ "metadata": { "annotations": { KUBELET_ANNOTATION: text } } })).await
}

/// Path of the kubelet's serving certificate.
pub fn serving_certificate(folder: &Path) -> PathBuf {
    folder.join("kubelet-server-current.pem")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::x509::X509;
    use crate::core::bootstrap::kubeconfig::{KubeconfigParts, render};
    use crate::core::bootstrap::objects::render_cluster_info;
    use crate::core::model::pki::{Authority, KeyPairFiles, Leaf, Subject, Usage};
    use crate::fakes::node::{FakeNode, FakeReachability};
    use crate::ports::node::KeyPairPem;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use jiff::Timestamp;

    struct World {
        node: Arc<FakeNode>,
        authorities: Vec<KeyPairPem>,
    }

    impl World {
        /// A node that trusts the first CA; a second one follows.
        fn new() -> Self {
            let wanted = Authority {
                files: KeyPairFiles::named(Path::new("/pki"), "ca"),
                common_name: "kubernetes".to_owned(),
                life: Duration::from_secs(3600),
            };
            let make = || X509.make_authority(&wanted, Timestamp::now()).unwrap();
            let world = Self { node: FakeNode::new(), authorities: vec![make(), make(), make()] };
            let leaf = Leaf {
                signer: wanted.files,
                subject: Subject::named("system:node:n1"),
                usage: Usage::Client,
                sans: Default::default(),
                life: Duration::from_secs(600),
            };
            let first = &world.authorities[0];
            let pair = X509.issue(&leaf, &first.public, first.key.reveal(), Timestamp::now()).unwrap();
            let config = render(&KubeconfigParts {
                cluster: "kubernetes",
                server: "https://10.0.0.1:6443",
                user: "system:node:n1",
                ca: &STANDARD.encode(&first.public),
                client_certificate: &STANDARD.encode(&pair.public),
                client_key: &STANDARD.encode(pair.key.reveal()),
            });
            world.node.write(Path::new("/kubelet.conf"), config.as_bytes(), 0o600).unwrap();
            world.node.write(Path::new("/ca.crt"), first.public.as_bytes(), 0o644).unwrap();
            world.node.write(Path::new("/serving.pem"), pair.public.as_bytes(), 0o600).unwrap();
            world
        }

        fn bundle(&self, order: &[usize]) -> String {
            join(order.iter().map(|index| self.authorities[*index].public.as_str()))
        }

        async fn api(&self) -> Arc<dyn ClusterObjects> {
            FakeReachability(self.node.clone()).connect(Path::new("/kubelet.conf")).await.unwrap()
        }

        async fn publish(&self, bundle: &str) {
            let api = self.api().await;
            api.apply(&render_cluster_info("10.0.0.1:6443", bundle)[0]).await.unwrap();
            api.apply(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } })).await.unwrap();
        }

        async fn look(&self, follows: bool) -> Result<bool, Error> {
            let settings = AuthoritiesSettings {
                node_name: "n1".to_owned(),
                kubeconfig: "/kubelet.conf".into(),
                client_ca: "/ca.crt".into(),
                serving: "/serving.pem".into(),
                follows,
            };
            let net = Arc::new(FakeReachability(self.node.clone()));
            let ports = AuthoritiesPorts { files: self.node.clone(), pki: Arc::new(X509), net };
            look(&settings, &ports, &mut None).await
        }

        fn trusted(&self) -> [String; 2] {
            let config = parse(&self.node.file("/kubelet.conf").unwrap()).unwrap();
            [config.ca.unwrap(), self.node.file("/ca.crt").unwrap()]
        }

        async fn told(&self) -> Option<KubeletTrust> {
            let node = ObjectRef::new("v1", "Node", None, "n1");
            KubeletTrust::of(&self.api().await.get(&node).await.unwrap().unwrap())
        }
    }

    #[tokio::test]
    async fn a_worker_takes_over_and_tells_what_it_trusts_and_who_signed() {
        let world = World::new();
        let both = world.bundle(&[0, 1]);
        world.publish(&both).await;
        assert!(world.look(true).await.unwrap());
        assert_eq!(world.trusted(), [both.clone(), both.clone()]);
        let config = parse(&world.node.file("/kubelet.conf").unwrap()).unwrap();
        assert_eq!(config.server, "https://10.0.0.1:6443");
        assert!(config.client_key.is_some(), "its user stays");
        assert!(!world.look(true).await.unwrap(), "once");
        let first = ids(&world.authorities[0].public).remove(0);
        let trust = KubeletTrust { trusts: ids(&both), client: Some(first.clone()), serving: Some(first) };
        assert_eq!(world.told().await, Some(trust));
        // A run was interrupted between the two files.
        world.node.write(Path::new("/ca.crt"), b"", 0o644).unwrap();
        assert!(world.look(true).await.unwrap());
        assert_eq!(world.trusted(), [both.clone(), both]);
        // If the signer is gone, the report says unknown, not none.
        world.publish(&world.bundle(&[1])).await;
        assert!(world.look(true).await.unwrap());
        assert!(!world.look(true).await.unwrap());
        assert_eq!(world.told().await.unwrap().serving.as_deref(), Some(UNKNOWN));
    }

    #[tokio::test]
    async fn a_control_plane_only_tells() {
        let world = World::new();
        let before = world.trusted();
        world.publish(&world.bundle(&[0, 1])).await;
        assert!(!world.look(false).await.unwrap());
        assert_eq!(world.trusted(), before);
        assert_eq!(world.told().await.unwrap().trusts, ids(&before[0]));
    }

    #[tokio::test]
    async fn nonsense_and_strangers_are_not_taken_over() {
        let world = World::new();
        let before = world.trusted();
        let config = parse(&world.node.file("/kubelet.conf").unwrap()).unwrap();
        let no_authority = format!("{}{}", world.bundle(&[0]), config.client_certificate.unwrap());
        for bundle in [world.bundle(&[1, 2]), no_authority, "x".to_owned()] {
            world.publish(&bundle).await;
            assert!(matches!(world.look(true).await, Err(Error::Unusable(_))), "{bundle}");
            assert_eq!(world.trusted(), before);
        }
    }
}
