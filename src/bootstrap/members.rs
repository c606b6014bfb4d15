//! This node's membership in etcd: join as a learner, promote, remove.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::error::StepError;
use super::pods::sandbox_of;
use super::ports::Ports;
use crate::core::bootstrap::membership::{self, Member, NextMove, initial_cluster, joined_members, next_move};
use crate::core::bootstrap::phases::kubelet_join::BOOTSTRAP_CONF;
use crate::core::bootstrap::services;
use crate::core::bootstrap::static_pods::ETCD;
use crate::core::model::spec::{Endpoint, Spec};
use crate::core::model::{Secret, StepOutcome};
use crate::ports::bootstrap::{EtcdIdentity, Members, MembersError, ObjectRef, Progress};

/// How long to wait for another learner, which may copy a large database.
const QUEUE_PATIENCE: Duration = Duration::from_secs(600);
/// How long a learner may make no progress before the promotion fails.
const STALL_PATIENCE: Duration = Duration::from_secs(240);
/// How long etcd may refuse a membership change, as it does for some seconds after the previous one.
const CHANGE_PATIENCE: Duration = Duration::from_secs(60);
/// How long etcd may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
/// How long one API server may take to return the addresses of the others.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a waiting step reports progress.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Path of etcd's manifest on this node.
pub fn manifest(spec: &Spec) -> PathBuf {
    spec.node.paths.manifests().join("etcd.yaml")
}

/// The text that contains etcd's flags on this node: a unit or a manifest.
pub fn definition(ports: &Ports, spec: &Spec) -> Result<Option<String>, StepError> {
    match ports.files.read(&unit_file(spec))? {
        Some(unit) => Ok(Some(unit)),
        None => Ok(ports.files.read(&manifest(spec))?),
    }
}

/// True if this node's etcd joined an existing cluster.
pub fn has_joined(ports: &Ports, spec: &Spec) -> Result<bool, StepError> {
    Ok(definition(ports, spec)?.as_deref().and_then(joined_members).is_some())
}

fn unit_file(spec: &Spec) -> PathBuf {
    spec.node.paths.units.join(services::unit(ETCD))
}

/// True if this node has the files of a member.
pub fn may_be_one(ports: &Ports, spec: &Spec) -> Result<bool, StepError> {
    Ok(definition(ports, spec)?.is_some() && identity(ports, spec)?.is_some())
}

fn identity(ports: &Ports, spec: &Spec) -> Result<Option<EtcdIdentity>, StepError> {
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

/// A client of the members, with this node's own member last: a learner does not report the others. The own member is
/// reached by loopback, even if its address has changed.
pub async fn client(ports: &Ports, spec: &Spec) -> Result<Arc<dyn Members>, StepError> {
    let mut endpoints = endpoints(ports, spec).await?;
    if spec.cluster.external_etcd.is_none() && definition(ports, spec)?.is_some() {
        let loopback = if spec.node.address.is_ipv4() { "127.0.0.1" } else { "::1" };
        endpoints.push(client_url(loopback));
    }
    Ok(ports.etcd.connect(endpoints, known_identity(ports, spec)?))
}

/// A client of the member at one URL.
pub fn single(ports: &Ports, spec: &Spec, endpoint: &str) -> Result<Arc<dyn Members>, StepError> {
    Ok(ports.etcd.connect(vec![endpoint.to_owned()], known_identity(ports, spec)?))
}

fn known_identity(ports: &Ports, spec: &Spec) -> Result<EtcdIdentity, StepError> {
    identity(ports, spec)?.ok_or_else(|| StepError::NoMembers { manifest: manifest(spec) })
}

/// Client URLs of the members that this node knows of.
pub async fn endpoints(ports: &Ports, spec: &Spec) -> Result<Vec<String>, StepError> {
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
        return Err(StepError::NoMembers { manifest: manifest(spec) });
    }
    Ok(endpoints)
}

fn client_url(address: &str) -> String {
    Endpoint::new(address, 2379).url()
}

/// Addresses of the API servers, each of which has a member beside it; empty when no API server answers.
async fn api_servers(ports: &Ports, spec: &Spec) -> Vec<String> {
    let slice = ObjectRef::new("discovery.k8s.io/v1", "EndpointSlice", Some("default"), "kubernetes");
    // Any kubeconfig that exists; the administrator's may point to this node's own API server, which may be down.
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

/// Name and peer URL of every member, for the manifest; empty if this node is not a member.
pub async fn observe(ports: &Ports, spec: &Spec) -> Result<Vec<(String, String)>, StepError> {
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
        Err(StepError::NoMembers { .. }) => return Ok(Vec::new()),
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

fn find<'a>(members: &'a [Member], peer_url: &str) -> Option<&'a Member> {
    members.iter().find(|member| member.peer_urls.iter().any(|url| url == peer_url))
}

/// True when etcd knows this node.
pub async fn is_added(ports: &Ports, spec: &Spec, name: &str, peer_url: &str) -> Result<bool, StepError> {
    Ok(matches!(seen(ports, spec, name, peer_url).await?, Some(NextMove::Promote(_) | NextMove::Done(_))))
}

/// True if this node is a voting member.
pub async fn has_vote(ports: &Ports, spec: &Spec, name: &str, peer_url: &str) -> Result<bool, StepError> {
    Ok(matches!(seen(ports, spec, name, peer_url).await?, Some(NextMove::Done(_))))
}

async fn seen(ports: &Ports, spec: &Spec, name: &str, peer_url: &str) -> Result<Option<NextMove>, StepError> {
    if identity(ports, spec)?.is_none() {
        return Ok(None);
    }
    let Ok(client) = client(ports, spec).await else { return Ok(None) };
    Ok(client.list().await.ok().map(|members| next_move(&members, name, peer_url)))
}

/// Reports what is waited for, at most once per [`TELL_EVERY`].
struct Word<'a> {
    progress: &'a dyn Progress,
    last: Option<Instant>,
}

impl<'a> Word<'a> {
    fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, last: None }
    }

    fn say(&mut self, text: &str) {
        if self.last.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
            self.progress.step_says(text);
            self.last = Some(Instant::now());
        }
    }
}

fn timed_out(condition: String, since: Instant) -> StepError {
    let hint = "`bootstrap etcd members` on a control plane shows them".to_owned();
    StepError::TimedOut { condition, seconds: since.elapsed().as_secs(), hint }
}

/// Adds this node as a learner, once no other learner exists.
pub async fn add(
    ports: &Ports,
    spec: &Spec,
    name: &str,
    peer_url: &str,
    progress: &dyn Progress,
) -> Result<(), StepError> {
    let client = client(ports, spec).await?;
    let begun = Instant::now();
    let mut refused_since: Option<Instant> = None;
    let mut word = Word::new(progress);
    loop {
        let outcome = match client.list().await {
            Ok(members) => match next_move(&members, name, peer_url) {
                NextMove::Promote(_) | NextMove::Done(_) => return Ok(()),
                NextMove::Taken(member) => {
                    let urls = member.peer_urls.join(",");
                    return Err(StepError::MemberTaken { name: name.to_owned(), urls });
                }
                NextMove::WaitFor(other) => {
                    word.say(&format!("etcd accepts one new member at a time: waiting for {other}"));
                    if begun.elapsed() >= QUEUE_PATIENCE {
                        return Err(timed_out(format!("etcd member {other} is a voting member"), begun));
                    }
                    refused_since = None;
                    Ok(())
                }
                NextMove::AddLearner => client.add_learner(peer_url).await.map(drop),
            },
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) | Err(MembersError::TooManyLearners) => {}
            Err(error) => {
                let since = *refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= CHANGE_PATIENCE {
                    return Err(error.into());
                }
                tracing::debug!(error = &error as &dyn std::error::Error, "etcd does not accept a member yet");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Promotes this node once its log has caught up; gives up if it makes no progress.
pub async fn promote(
    ports: &Ports,
    spec: &Spec,
    name: &str,
    peer_url: &str,
    progress: &dyn Progress,
) -> Result<(), StepError> {
    let client = client(ports, spec).await?;
    let own = single(ports, spec, &Endpoint::new(spec.node.address, 2379).url())?;
    let mut word = Word::new(progress);
    let mut moved = Instant::now();
    let mut index = 0;
    loop {
        let id = match client.list().await.map(|members| next_move(&members, name, peer_url)) {
            Ok(NextMove::Done(_)) => return Ok(()),
            Ok(NextMove::Promote(id)) => Some(id),
            Ok(NextMove::AddLearner | NextMove::WaitFor(_) | NextMove::Taken(_)) => {
                return Err(timed_out(format!("etcd has member {name}; it was removed meanwhile"), moved));
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "etcd does not answer");
                None
            }
        };
        if let Some(id) = id {
            match client.promote(id).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "not promoted yet"),
            }
        }
        let (Ok(here), Ok(there)) = (own.health().await, client.health().await) else {
            if moved.elapsed() >= STALL_PATIENCE {
                return Err(timed_out(format!("etcd answers on this node ({name})"), moved));
            }
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if here.raft_index > index {
            (index, moved) = (here.raft_index, Instant::now());
        }
        let lag = there.raft_index.saturating_sub(here.raft_index);
        word.say(&format!("etcd replicates its log: entry {} of {}, {lag} behind", here.raft_index, there.raft_index));
        if moved.elapsed() >= STALL_PATIENCE {
            return Err(timed_out(format!("etcd member {name} has caught up ({lag} entries behind)"), moved));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Removes this node from etcd. If the cluster has lost its quorum that fails, which must not keep a node from being
/// reset: the failure is only reported.
pub async fn remove(
    ports: &Ports,
    spec: &Spec,
    name: &str,
    peer_url: &str,
    progress: &dyn Progress,
) -> Result<StepOutcome, StepError> {
    let begun = Instant::now();
    let client = match client(ports, spec).await {
        Ok(client) => client,
        Err(StepError::NoMembers { .. }) => return Ok(StepOutcome::Unchanged),
        Err(error) => return Err(error),
    };
    loop {
        let outcome = match client.list().await {
            Ok(members) => match find(&members, peer_url) {
                None => return Ok(StepOutcome::Unchanged),
                Some(own) if members.iter().filter(|member| !member.learner).all(|voter| voter.id == own.id) => {
                    return Ok(StepOutcome::Unchanged);
                }
                Some(own) => client.remove(own.id).await,
            },
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => return Ok(StepOutcome::Changed),
            Err(error) if begun.elapsed() >= CHANGE_PATIENCE => {
                progress.step_says(&format!(
                    "etcd did not remove member {name} ({error}); if etcd still runs elsewhere, remove the member there with `bootstrap etcd remove {name}`"
                ));
                return Ok(StepOutcome::Unchanged);
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "etcd does not remove the member yet")
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Cleans up after a failed join: removes a learner from etcd with its manifest and data, so that other joins need not
/// wait for it. True if there was one.
pub async fn withdraw(ports: &Ports, spec: &Spec) -> Result<bool, StepError> {
    if identity(ports, spec)?.is_none() || spec.cluster.external_etcd.is_some() {
        return Ok(false);
    }
    let peer_url = membership::peer_url(spec);
    let client = match client(ports, spec).await {
        Ok(client) => client,
        Err(StepError::NoMembers { .. }) => return Ok(false),
        Err(error) => return Err(error),
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
    // If the kubelet is not running nothing is stopped; the data of a removed member is useless either way.
    let _ = tokio::time::timeout(STOP_PATIENCE, stopped).await;
    ports.files.empty_dir(&spec.node.paths.etcd_data)?;
    Ok(true)
}
