//! Certificate requests of kubelets: watches them, and writes decisions to their subresource.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::select;
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ListParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};

use super::reconnecting::Reconnecting;
use crate::adapters::x509::X509;
use crate::core::bootstrap::cluster_configuration::{self, parse_networks};
use crate::core::bootstrap::kubelet_requests::{
    CLIENT_SIGNER, CertificateRequest, ClusterNames, Decision, NodeNames, ObservedRequest, SERVING_SIGNER,
};
use crate::core::bootstrap::objects::CONTROL_PLANE_LABEL;
use crate::core::model::pki::San;
use crate::core::model::with_causes;
use crate::offload::Lanes;
use crate::ports::bootstrap::{ApprovalError, KubeletRequests, Verdict};
use crate::ports::node::Pki;

const RETRY: Duration = Duration::from_secs(2);

/// Local knowledge of this control plane.
#[derive(Clone, Debug)]
pub struct OwnControlPlane {
    /// Name of its node.
    pub node_name: String,
    /// The certificate of its API server.
    pub certificate: PathBuf,
    /// True if a cloud assigns DNS names to nodes.
    pub cloud: bool,
}

/// Requests for the signers of kubelets' certificates, with the approver's kubeconfig.
pub struct ApiKubeletRequests {
    own: OwnControlPlane,
    files: Lanes,
    requests: Reconnecting<ObservedRequest>,
}

/// Why no decision can be made.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("configmap kube-system/kubeadm-config does not exist or has no ClusterConfiguration")]
    NoConfiguration,
    #[error(transparent)]
    Configuration(#[from] cluster_configuration::Error),
    #[error("read {0}")]
    Certificate(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ApiKubeletRequests {
    /// Connects on first use; the file need not exist yet.
    pub fn new(kubeconfig: PathBuf, own: OwnControlPlane) -> Self {
        let watch_both =
            |client: Client| select(watch(client.clone(), SERVING_SIGNER), watch(client, CLIENT_SIGNER)).boxed();
        Self { own, files: Lanes::new("file"), requests: Reconnecting::new(kubeconfig, watch_both) }
    }

    async fn client(&mut self) -> Result<Client, ApprovalError> {
        self.requests.client().await.map_err(failed("connect"))
    }

    /// The names in the certificate of this node's API server.
    async fn own_names(&mut self) -> Result<Vec<San>, Error> {
        let (path, file) = (&self.own.certificate, self.own.certificate.clone());
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let read = move || std::fs::read_to_string(file);
        let text = self.files.io(path.to_string_lossy(), "read", read).await;
        let text = text.map_err(|error| Error::Certificate(path.clone(), error.into()))?;
        let seen = X509.inspect(&text, None, None).map_err(|error| Error::Certificate(path.clone(), error.into()))?;
        Ok(seen.sans.into_iter().collect())
    }
}

#[async_trait]
impl KubeletRequests for ApiKubeletRequests {
    async fn next(&mut self) -> ObservedRequest {
        loop {
            match self.requests.next().await {
                Ok(Some(pending)) => return pending,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(error = with_causes(&error), "certificate requests cannot be watched yet");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn all(&mut self) -> Result<Vec<ObservedRequest>, ApprovalError> {
        let requests: Api<CertificateSigningRequest> = Api::all(self.client().await?);
        // Without a resource version the list is current, not from a cache.
        let list = requests.list(&ListParams::default()).await.map_err(failed("list certificate requests"))?;
        Ok(list.items.iter().filter_map(parse_request).collect())
    }

    async fn names(&mut self) -> Result<ClusterNames, ApprovalError> {
        let client = self.client().await?;
        let params = ListParams::default();
        let nodes = Api::<Node>::all(client.clone()).list(&params).await.map_err(failed("list nodes"))?;
        let services = Api::<Service>::all(client.clone()).list(&params).await.map_err(failed("list services"))?;
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
        let servers = slices.get_opt("kubernetes").await.map_err(failed("get endpointslice default/kubernetes"))?;
        let maps: Api<ConfigMap> = Api::namespaced(client, "kube-system");
        let map = maps.get_opt("kubeadm-config").await.map_err(failed("get configmap kube-system/kubeadm-config"))?;
        let text = map.and_then(|map| map.data?.remove("ClusterConfiguration"));
        let unknown = failed("read the names of the cluster");
        let text = text.ok_or_else(|| unknown(Error::NoConfiguration))?;
        let networks = parse_networks(&text).map_err(|error| unknown(error.into()))?;
        let servers =
            servers.into_iter().flat_map(|slice| slice.endpoints).flatten().flat_map(|endpoint| endpoint.addresses);
        let mut control_plane: Vec<San> = self.own_names().await.map_err(&unknown)?;
        control_plane.extend(networks.control_plane.iter().map(|name| San::parse(name)));
        control_plane.extend(servers.map(|address| San::parse(&address)));
        let addresses = services.items.iter().filter_map(|service| service.spec.as_ref()).flat_map(|spec| {
            let several = spec.cluster_ips.iter().flatten();
            spec.cluster_ip.iter().chain(several).filter_map(|address| address.parse().ok())
        });
        let mut nodes: Vec<NodeNames> = nodes.items.iter().map(parse_node).collect();
        for node in nodes.iter_mut().filter(|node| node.name == self.own.node_name) {
            // The node gets its label only after its first request.
            node.control_plane = true;
        }
        Ok(ClusterNames {
            nodes,
            control_plane: control_plane.into_iter().collect(),
            service_subnets: networks.service_subnets,
            service_addresses: addresses.collect(),
            pod_subnets: networks.pod_subnets,
            dns_domain: networks.dns_domain,
            cloud: self.own.cloud,
        })
    }

    async fn decide(&mut self, observed: &ObservedRequest, verdict: &Verdict) -> Result<(), ApprovalError> {
        let requests: Api<CertificateSigningRequest> = Api::all(self.client().await?);
        let name = &observed.name;
        let failed = failed(format!("decide certificate request {name}"));
        let Some(mut object) = requests.get_opt(name).await.map_err(&failed)? else { return Ok(()) };
        if parse_request(&object).as_ref() != Some(observed) {
            return Ok(());
        }
        let status = object.status.get_or_insert_with(CertificateSigningRequestStatus::default);
        status.conditions.get_or_insert_default().push(condition(verdict, Timestamp::now()));
        // uid and resource version are preconditions: the server rejects the write if the object was replaced.
        match requests.replace_subresource("approval", name, &PostParams::default(), &object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed<E>(what: impl Into<String>) -> impl Fn(E) -> ApprovalError
where
    E: std::error::Error + Send + Sync + 'static,
{
    let what = what.into();
    move |source| ApprovalError { what: what.clone(), source: Box::new(source) }
}

fn watch(client: Client, signer: &str) -> impl Stream<Item = Result<ObservedRequest, watcher::Error>> + Send + use<> {
    let config = watcher::Config::default().fields(&format!("spec.signerName={signer}"));
    watcher::watcher(Api::<CertificateSigningRequest>::all(client), config)
        .filter_map(|event| async {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    parse_request(&object).filter(|observed| observed.decision == Decision::Undecided).map(Ok)
                }
                Ok(Event::Init | Event::InitDone | Event::Delete(_)) => None,
                Err(error) => Some(Err(error)),
            }
        })
        .boxed()
}

fn condition(verdict: &Verdict, now: Timestamp) -> CertificateSigningRequestCondition {
    let (type_, reason, message) = match verdict {
        Verdict::Approve => ("Approved", "NodeIsItself", "the request is for the node that created it"),
        Verdict::Deny(why) => ("Denied", "NotThisNode", why.as_str()),
    };
    CertificateSigningRequestCondition {
        type_: type_.into(),
        status: "True".into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

fn parse_request(object: &CertificateSigningRequest) -> Option<ObservedRequest> {
    let (metadata, spec) = (&object.metadata, &object.spec);
    Some(ObservedRequest {
        name: metadata.name.clone()?,
        uid: metadata.uid.clone()?,
        resource_version: metadata.resource_version.clone()?,
        request: CertificateRequest {
            signer: spec.signer_name.clone(),
            username: spec.username.clone().unwrap_or_default(),
            groups: spec.groups.clone().unwrap_or_default(),
            usages: spec.usages.clone().unwrap_or_default(),
            pem: spec.request.0.clone(),
        },
        decision: parse_decision(object),
    })
}

/// Conditions of an unknown type count as a denial: nothing is approved besides them.
fn parse_decision(object: &CertificateSigningRequest) -> Decision {
    let conditions: Vec<_> = object.status.iter().flat_map(|status| status.conditions.iter().flatten()).collect();
    let begun = || object.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    match conditions.as_slice() {
        [] if object.status.as_ref().is_some_and(|status| status.certificate.is_some()) => Decision::Approved(begun()),
        [] => Decision::Undecided,
        [one] if one.type_ == "Approved" => {
            Decision::Approved(one.last_update_time.as_ref().map_or_else(begun, |time| time.0))
        }
        _ => Decision::Refused,
    }
}

fn parse_node(node: &Node) -> NodeNames {
    let metadata = &node.metadata;
    let subnets = node.spec.iter().flat_map(|spec| spec.pod_cidrs.iter().flatten());
    let mut names = NodeNames {
        name: metadata.name.clone().unwrap_or_default(),
        pod_subnets: subnets.filter_map(|subnet| subnet.parse().ok()).collect(),
        control_plane: metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(CONTROL_PLANE_LABEL)),
        registered: metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0),
        ..NodeNames::default()
    };
    for address in node.status.iter().flat_map(|status| status.addresses.iter().flatten()) {
        match address.address.parse::<IpAddr>() {
            Ok(ip) => names.addresses.push(ip.to_canonical()),
            Err(_) => names.dns.push(address.address.clone()),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decision(status: serde_json::Value) -> Decision {
        let spec = json!({ "request": "", "signerName": CLIENT_SIGNER });
        let metadata = json!({ "name": "r", "uid": "u", "resourceVersion": "7" });
        let object = json!({ "metadata": metadata, "spec": spec, "status": status });
        parse_request(&serde_json::from_value(object).unwrap()).unwrap().decision
    }

    #[test]
    fn only_an_untouched_request_is_undecided() {
        let conditions = |types: &[&str]| {
            let one = |kind| json!({ "type": kind, "status": "True", "lastUpdateTime": "1970-01-01T00:00:09Z" });
            json!({ "conditions": types.iter().map(one).collect::<Vec<_>>() })
        };
        assert_eq!(decision(json!({})), Decision::Undecided);
        assert_eq!(decision(conditions(&["Approved"])), Decision::Approved(Timestamp::from_second(9).unwrap()));
        for refused in [&["Denied"][..], &["Failed"], &["Approved", "Failed"], &["Weighed"]] {
            assert_eq!(decision(conditions(refused)), Decision::Refused, "{refused:?}");
        }
    }
}
